"""The real loop for as many frames as asked, with faults of cameras and sinks drawn by a seed.

    python soak_loop.py BUNDLE --frames N --seed S --every N

Two scripted cameras, every frame of which is wanted, through ONNX Runtime into rotated JSON lines
and CSV, a webhook, the page with its viewers, a rotated film, and sinks that break for good. Prints
as JSON what was found. Linux alone, since it reads there what it holds.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from soak_camera import PASSING, STALL, Credit, Script
from soak_checks import Breaks, Faulty, Frames, Holding, Ledger

from edgecnn_runtime.bundle import open_bundle, read_golden_frames
from edgecnn_runtime.camera.live import CameraSource
from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.camera.sources import QUEUE
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.live import Live
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.recording import VideoFile
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.rotation import Rotation
from edgecnn_runtime.stream.run import StreamReport, run_stream
from edgecnn_runtime.stream.selection import Selection
from edgecnn_runtime.stream.sink import Sink, SinkSummary
from edgecnn_runtime.stream.sinks import open_sinks
from edgecnn_runtime.stream.steady import Steady
from edgecnn_runtime.stream.text_files import CsvLine, JsonLine, TextFile

CAMERAS = ("front", "back")
RECORDERS = ("json lines", "csv", "checked")
WARM, WARM_END, LAST = 0.2, 0.4, 0.9  # shares of the run: what it holds is compared between them
LOOKS = 400
MOST_MORE = 2  # descriptors and threads: viewers come and go
UNDELIVERED = 0.001  # of the results that the checked sink says it did not deliver


class Soak:
    """One run: its cameras, its sinks and what checks them."""

    def __init__(self, asked: argparse.Namespace, folder: Path, small_disk: Path | None) -> None:
        self.asked, self.folder, self.small_disk = asked, folder, small_disk
        photograph = read_golden_frames(open_bundle(asked.bundle))[0]
        self.credit = Credit(len(RECORDERS))
        self.scripts = {
            name: Script(photograph, asked.seed + number, asked.every, self.credit)
            for number, name in enumerate(CAMERAS)
        }
        self.frames = Frames(self.scripts)
        self.ledgers = {suffix: Ledger(folder, suffix) for suffix in (".jsonl", ".csv")}
        self.held: list[tuple[int, Holding]] = []  # after so many frames
        self.next_look = 0

    def run(self, peer: subprocess.Popen[str]) -> dict[str, Any]:
        """All of it, with the other end of the sinks in a process of its own; see `found`."""
        assert peer.stdin is not None
        assert peer.stdout is not None
        port = int(peer.stdout.readline())
        before = Holding.now()
        with Classifier.open(self.asked.bundle, threads=1, top_k=3) as classify:
            stream = Stream(classify, self._cameras(), frames=self.asked.frames, every_frame=True)
            live = Live(stream.summary)
            sinks = self._sinks(live, port)
            page = next(sink for sink in sinks if sink.uri.startswith("http:"))
            peer.stdin.write(f"{page._writer.server.url}\n")
            peer.stdin.flush()
            steady = Steady(smooth="exponential", unknown=0.3, events=[f"{classify.labels[0]}:1"])
            began = perf_counter()
            report = run_stream(stream, sinks, steady=steady, live=live, on_status=self._look)
            seconds = perf_counter() - began
        for ledger in self.ledgers.values():
            ledger.check(all_of_them=True)
        said, _ = peer.communicate()
        return self._found(report, json.loads(said), seconds, before)

    def _cameras(self) -> list[CameraSource]:
        patience = Patience(stall=STALL, open_timeout=10)
        return [
            CameraSource(name, script.connect, patience=patience, depth=QUEUE, age_from="capture")
            for name, script in self.scripts.items()
        ]

    def _sinks(self, live: Live, port: int) -> list[Sink]:
        """As the command line opens them, and some that fail."""
        records, films = Rotation(rotate_bytes=1_000_000), Rotation(300_000, keep_bytes=900_000)
        (self.folder / "films").mkdir()
        writers = (
            TextFile(self.folder / "records.jsonl", JsonLine(), records),
            TextFile(self.folder / "records.csv", CsvLine(), records),
            self.frames,
        )
        recorders = [
            Faulty(writer, self.credit, number, UNDELIVERED if writer is self.frames else 0)
            for number, writer in enumerate(writers)
        ]
        uris = [f"webhook+http://127.0.0.1:{port}/?every=0.02", "http://127.0.0.1:0"]
        film = VideoFile(self.folder / "films" / "film.avi", 10, rotation=films)
        # What breaks for good does so before the run is warm.
        broken = {"mistake": Breaks(int(WARM / 4 * self.asked.frames))}
        if self.small_disk is not None:
            broken["full disk"] = TextFile(self.small_disk / "full.jsonl", JsonLine())
        return [
            *(
                Sink(name, writer, lossless=False, waiting=QUEUE)
                for name, writer in zip(RECORDERS, recorders, strict=True)
            ),
            *open_sinks(uris, lossless=False, live=live),
            Sink("film", film, lossless=False, takes=Selection(every=0.2)),
            *(Sink(name, writer, lossless=False) for name, writer in broken.items()),
        ]

    def _look(self, result: Result, fps: float) -> None:
        """A few times a second, in the loop's thread."""
        if self.frames.checked >= self.next_look:  # what measures must not grow with the run
            self.next_look = self.frames.checked + self.asked.frames // LOOKS
            self.held.append((self.frames.checked, Holding.now()))
        for ledger in self.ledgers.values():
            ledger.check()

    def _between(self, begin: float, end: float) -> Holding:
        frames = self.asked.frames
        return Holding.median([h for n, h in self.held if begin * frames <= n <= end * frames])

    def _series(self, points: int) -> list[tuple[int, float]]:
        """What it held after so many frames, at equal distances."""
        chosen = self.held[:: max(1, len(self.held) // points)]
        return [(frames, holding.resident_mb) for frames, holding in chosen]

    def _found(
        self, report: StreamReport, peer: dict[str, Any], seconds: float, before: Holding
    ) -> dict[str, Any]:
        """Figures, and in `wrong` a line for each thing that is not as it should be."""
        warm, last, after = self._between(WARM, WARM_END), self._between(LAST, 1), Holding.now()
        faults = sum((script.faults for script in self.scripts.values()), Counter[str]())
        sinks = {sink.uri.partition("://")[0]: sink for sink in report.sinks}
        return {
            "frames": report.frames,
            "seconds": round(seconds, 1),
            "fps": report.fps,
            "reconnects": report.reconnects,
            "camera_faults": dict(sorted(faults.items())),
            "sink_faults": peer["faults"],
            "sinks": {n: f"{s.frames} and {s.dropped} dropped" for n, s in sinks.items()},
            "files": sum(ledger.files for ledger in self.ledgers.values()),
            "seen": peer["seen"],
            "warm": asdict(warm),
            "last": asdict(last),
            "resident_mb": self._series(20),
            "resident_growth": round(last.resident_mb / warm.resident_mb - 1, 5),
            "wrong": [
                *self.frames.wrong,
                *(line for ledger in self.ledgers.values() for line in ledger.wrong),
                *self._wrong_counts(report, faults),
                *_wrong_sinks(sinks, peer),
                *_grown(warm, last, MOST_MORE),
                *_grown(before, after, 0),
            ],
        }

    def _wrong_counts(self, report: StreamReport, faults: Counter[str]) -> Iterator[str]:
        answered = Counter({source.name: source.frames for source in report.sources})
        for suffix, ledger in self.ledgers.items():
            if ledger.counts != answered:
                yield f"{suffix}: {dict(ledger.counts)} recorded, {dict(answered)} answered"
        if (report.frames, self.frames.checked) != (self.asked.frames, self.asked.frames):
            yield f"{report.frames} answered, {self.frames.checked} checked"
        if report.dropped:
            yield f"{report.dropped} frames dropped"
        # The last fault of each camera may not be over.
        losses = sum(n for name, n in faults.items() if name not in PASSING)
        if report.reconnects < losses - len(CAMERAS):
            yield f"{report.reconnects} reconnects after {losses} losses"
        if abs(report.errors - faults["damaged frame"]) > len(CAMERAS):
            yield f"{report.errors} frames unreadable, {faults['damaged frame']} damaged"


def _wrong_sinks(sinks: dict[str, SinkSummary], peer: dict[str, Any]) -> Iterator[str]:
    for name in RECORDERS[:2]:
        if sinks[name].dropped or sinks[name].error:
            yield f"{name}: {sinks[name]}"
    if (taken := peer["taken"]) != sinks["webhook+http"].frames or peer["out_of_order"]:
        yield f"webhook: {sinks['webhook+http']}, and {taken} arrived, {peer['out_of_order']} late"
    if sinks["mistake"].error != "a mistake of the user's":
        yield f"mistake: {sinks['mistake']}"
    if "full disk" in sinks and sinks["full disk"].error != "No space left on device":
        yield f"full disk: {sinks['full disk']}"
    if sinks["http"].error or sinks["film"].error:
        yield f"page: {sinks['http']}, film: {sinks['film']}"
    if not all(peer["seen"].get(what) for what in ("state.json", "metrics", "film")):
        yield f"the page's viewers saw {peer['seen']}"


def _grown(before: Holding, after: Holding, most: int) -> Iterator[str]:
    for figure in ("descriptors", "threads"):
        was, is_now = getattr(before, figure), getattr(after, figure)
        if is_now > was + most:
            yield f"{figure}: {was:g}, then {is_now:g}"


@contextmanager
def other_end(seed: int) -> Iterator[subprocess.Popen[str]]:
    """The process that takes what is posted and looks at the page."""
    program = Path(__file__).with_name("soak_peer.py")
    command = [sys.executable, str(program), str(seed)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk that is soon full; None where we may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        mounted = not subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, required=True, help="frames between two faults")
    asked = parser.parse_args()
    logging.getLogger("edgecnn").setLevel(logging.CRITICAL)  # it has a word to say of each fault
    with (
        tempfile.TemporaryDirectory() as records,
        tempfile.TemporaryDirectory() as mounted,
        small_disk(Path(mounted)) as disk,
        other_end(asked.seed) as peer,
    ):
        found = Soak(asked, Path(records), disk).run(peer)
    json.dump(found, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
