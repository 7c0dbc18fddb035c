from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edgecnn_runtime.camera.sources import QUEUE
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.run import StreamReport, run_stream
from edgecnn_runtime.stream.sink import WAITING, Sink
from edgecnn_runtime.stream.sinks import open_sinks, results_waiting
from edgecnn_runtime.stream.text_files import JsonLine, TextFile


def streamed(classify: Classifier, clip: Path, *uris: object) -> StreamReport:
    sinks = open_sinks([str(uri) for uri in uris], lossless=True, fps=30.0)
    return run_stream(Stream(classify, clip), sinks)


def frames_in(path: Path) -> int:
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    video.release()
    return count


def test_json_lines_hold_every_result(classify: Classifier, clip: Path, tmp_path: Path) -> None:
    report = streamed(classify, clip, tmp_path / "x.jsonl")
    records = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [r["index"] for r in records] == list(range(40))
    first = records[0]
    assert first["source"] == "pan.mp4"
    assert first["label"] == first["predictions"][0]["label"]
    assert first["utc"].endswith("Z")
    assert first["frame_age_ms"] > 0
    assert report.sinks[0].frames == 40
    assert report.sink_errors == 0


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_recording_holds_every_frame_and_nothing_lies_beside_it(
    classify: Classifier, clip: Path, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"x{suffix}"
    streamed(classify, clip, target)
    assert frames_in(target) == 40
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_a_rotated_recording_is_several_whole_ones_with_every_frame(
    classify: Classifier, clip: Path, tmp_path: Path
) -> None:
    report = streamed(classify, clip, f"{tmp_path / 'x.avi'}?rotate_mb=0.2")
    files = sorted(tmp_path.iterdir())
    assert len(files) > 2
    assert sum(frames_in(path) for path in files) == report.sinks[0].frames == 40
    assert all(path.name.startswith("x-") for path in files)


def test_recordings_stay_within_their_limit(
    classify: Classifier, clip: Path, tmp_path: Path
) -> None:
    streamed(classify, clip, f"{tmp_path / 'x.avi'}?rotate_mb=0.2&keep_mb=0.7")
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1
    assert sum(path.stat().st_size for path in files) < 1_200_000
    assert all(frames_in(path) > 0 for path in files)


def test_the_answers_to_eight_cameras_at_once_are_all_written(
    results: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come in one batch, before a writer has had time for the first."""
    let_go = threading.Event()
    write = TextFile.write

    def late(self: TextFile, result: Result) -> None:
        let_go.wait(20)
        write(self, result)

    monkeypatch.setattr(TextFile, "write", late)
    waiting = results_waiting(8)
    (sink,) = open_sinks([str(tmp_path / "x.jsonl")], lossless=False, waiting=waiting)
    for result in results[:16]:
        sink.put(result)
    let_go.set()
    assert (sink.close().frames, sink.summary().dropped) == (16, 0)


def test_a_sink_that_fails_is_said_once_and_the_stream_goes_on(
    classify: Classifier, clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def write(self, result: Result) -> None:
            if result.index == 3:
                raise OSError(5, "Input/output error")

        def close(self) -> None: ...

    good = open_sinks([str(tmp_path / "x.jsonl")], lossless=True)
    report = run_stream(Stream(classify, clip), [Sink("broken", Broken(), lossless=True), *good])
    assert report.frames == 40
    assert [s.error for s in report.sinks] == ["Input/output error", None]
    assert [s.frames for s in report.sinks] == [3, 40]
    assert report.sink_errors == 1
    assert caplog.text.count("sink broken: Input/output error; closed, the stream goes on") == 1


def test_a_full_disk_leaves_whole_json_lines(
    classify: Classifier, clip: Path, small_disk: Callable[[str], Path]
) -> None:
    path = small_disk("8k") / "x.jsonl"
    report = streamed(classify, clip, path)
    assert report.frames == 40
    assert report.sinks[0].error == "No space left on device"
    lines = path.read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(report.sinks[0].frames))
    assert 0 < len(lines) < 40


def test_a_recording_ends_before_the_disk_is_full_and_stays_playable(
    classify: Classifier, clip: Path, small_disk: Callable[[str], Path]
) -> None:
    path = small_disk("900k") / "x.avi"
    report = streamed(classify, clip, path)
    assert report.frames == 40
    assert report.sinks[0].error is not None
    assert "the disk is full, the first" in report.sinks[0].error
    assert frames_in(path) == report.sinks[0].frames > 0
    assert [p.name for p in path.parent.iterdir()] == ["x.avi"]


def test_a_recording_that_did_not_reach_the_disk_is_removed_and_said(
    classify: Classifier,
    clip: Path,
    small_disk: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Another program takes the space that was still free when it was looked at.
    monkeypatch.setattr(
        "edgecnn_runtime.stream.recording.Recording._check_space", lambda self, size: None
    )
    path = small_disk("64k") / "x.mp4"
    report = streamed(classify, clip, path)
    assert report.frames == 40
    assert "frames reached the disk" in str(report.sinks[0].error)
    assert list(path.parent.iterdir()) == []


class Slow:
    """A writer that writes nothing before it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.written: list[int] = []

    def write(self, result: Result) -> None:
        self.begun.set()
        self.go.wait()
        self.written.append(result.index)

    def close(self) -> None: ...


def test_a_slow_sink_of_a_live_stream_drops_the_oldest_and_counts_them(
    classify: Classifier, clip: Path
) -> None:
    results = list(Stream(classify, clip))
    slow = Slow()
    sink = Sink("slow", slow, lossless=False)
    sink.put(results[0])
    slow.begun.wait()
    for result in results[1:]:
        sink.put(result)
    slow.go.set()
    summary = sink.close()
    assert slow.written == [0, *range(40 - WAITING, 40)]
    assert summary.dropped == 39 - WAITING


def test_a_sink_of_a_stream_that_wants_every_frame_is_given_room_for_as_many_as_capture_has(
    results: list[Result],
) -> None:
    slow = Slow()
    sink = Sink("slow", slow, lossless=False, waiting=QUEUE)
    sink.put(results[0])
    slow.begun.wait()
    for result in results[1 : QUEUE + 1]:
        sink.put(result)
    slow.go.set()
    assert sink.close().dropped == 0
    assert slow.written == list(range(QUEUE + 1))


@pytest.mark.parametrize("name", ["x.jsonl", "x.mp4"])
def test_a_sink_in_a_folder_that_is_not_there_is_an_input_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        open_sinks([str(tmp_path / "no" / name)], lossless=True)


def test_an_unknown_sink_names_what_there_is_and_leaves_no_part_of_the_others(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"expected window, FILE\.mp4"):
        open_sinks([str(tmp_path / "x.mp4"), "what://ever"], lossless=True)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    (sink,) = open_sinks([str(tmp_path / "x.mp4")], lossless=True)
    assert sink.close().error is None
    assert list(tmp_path.iterdir()) == []


def test_frames_of_other_sizes_are_fitted_into_the_recording(
    classify: Classifier, tmp_path: Path, photographs: dict[str, object]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, frame in photographs.items():
        cv2.imwrite(str(photos / f"{name}.jpg"), frame)
    streamed(classify, photos, tmp_path / "x.mp4")
    assert frames_in(tmp_path / "x.mp4") == 4


def test_standard_output_stays_open_after_a_sink_on_it(
    classify: Classifier, clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = TextFile(None, JsonLine())
    writer.write(next(iter(Stream(classify, clip, frames=1))))
    writer.close()
    print("still open")
    lines = capfd.readouterr().out.splitlines()
    assert json.loads(lines[0])["index"] == 0
    assert lines[1] == "still open"


def test_a_sink_that_hangs_is_left_behind_at_the_end_and_said(
    classify: Classifier, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecnn_runtime.stream.sink.CLOSING", 0.05)
    go = threading.Event()

    class Hanging:
        def write(self, result: Result) -> None:
            go.wait()

        def close(self) -> None: ...

    report = run_stream(Stream(classify, clip, frames=3), [Sink("nfs", Hanging(), lossless=False)])
    go.set()
    assert "was left behind" in str(report.sinks[0].error)
    assert report.frames == 3
