from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.histogram import Histogram
from edgecnn_runtime.latency.recent import Recent
from edgecnn_runtime.stream import live as live_module
from edgecnn_runtime.stream.live import STAGES, Live
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.run import run_stream
from edgecnn_runtime.stream.sinks import open_sinks
from edgecnn_runtime.stream.steady import Steady
from edgecnn_runtime.stream.terminal import live_terminal, panel

SECOND = 10**9


def test_the_last_minute_forgets_what_is_older() -> None:
    recent = Recent()
    for second in range(300):
        recent.record(1000 if second < 200 else 9000, now_ns=second * SECOND)
    minute = recent.histogram(now_ns=299 * SECOND)
    assert 60 <= minute.count <= 65
    assert minute.min_ns == 9000
    assert recent.histogram(now_ns=330 * SECOND).count in range(30, 36)
    assert recent.histogram(now_ns=900 * SECOND).count == 0


def test_percentiles_of_the_last_minute_are_within_their_stated_error() -> None:
    random = np.random.default_rng(5)
    samples = np.sort(random.lognormal(15, 1, 20_000).astype(np.int64))
    recent = Recent()
    for sample in samples.tolist():
        recent.record(sample, now_ns=SECOND)
    for fraction in (0.5, 0.9, 0.99, 0.999):
        exact = samples[int(np.ceil(fraction * len(samples))) - 1]
        (found,) = recent.histogram(now_ns=2 * SECOND).percentiles_ns(fraction)
        assert abs(found - exact) <= exact / 128 + 1


@contextmanager
def recording(histogram: Histogram) -> Iterator[None]:
    """Another thread records all the time, and threads change as often as they can."""
    interval, stop = sys.getswitchinterval(), threading.Event()

    def record() -> None:
        while not stop.is_set():
            histogram.record(123_456)

    thread = threading.Thread(target=record)
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


def test_a_histogram_can_be_read_while_another_thread_records() -> None:
    histogram = Histogram(6)
    with recording(histogram):
        for _ in range(150):
            copy = Histogram(6)
            copy.add(histogram)
            for read in (copy, histogram):
                assert set(read.percentiles_ns(0.5, 0.999)) <= {0.0, 123_456.0, 123_391.5}


def test_a_snapshot_tells_answers_figures_events_and_sinks(
    classify: Classifier, clip: Path, tmp_path: Path
) -> None:
    stream = Stream(classify, clip)
    live = Live(stream.summary)
    sinks = open_sinks([str(tmp_path / "x.csv")], lossless=True)
    steady = Steady(events=["red:0", "green:0", "blue:0"])
    run_stream(stream, sinks, live=live, steady=steady)
    seen = live.snapshot()
    assert seen.summary.frames == 40
    assert set(seen.minute) == set(STAGES)
    assert all(p.max >= p.p999 >= p.p50 > 0 for p in seen.minute.values())
    assert seen.minute["infer"].max == seen.summary.stages.infer.max
    assert seen.minute_fps > 0
    assert seen.latest["pan.mp4"].predictions[0].label == seen.latest["pan.mp4"].label
    assert sum(seen.labels["pan.mp4"].values()) == 40
    assert seen.events[0].label == seen.events[0].label
    assert [(s.frames, s.error) for s in seen.sinks] == [(40, None)]
    assert live.snapshot() is seen


def test_the_terminal_shows_answer_age_and_percentiles_in_its_width(
    classify: Classifier, clip: Path
) -> None:
    stream = Stream(classify, clip)
    live = Live(stream.summary)
    run_stream(stream, live=live)
    console = Console(width=80, height=24, record=True, quiet=False, file=sys.stderr)
    console.print(panel(live.snapshot(), console, note="keys: 1 2"))
    text = console.export_text()
    assert "pan.mp4: " in text
    assert "40 frames" in text
    for words in ("frame age", "end to end", "p99.9", "since start", "keys: 1 2"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) < 12


def test_nothing_is_drawn_where_there_is_no_terminal(
    classify: Classifier, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = Stream(classify, clip)
    live = Live(stream.summary)
    with live_terminal(live):
        run_stream(stream, live=live)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_frames_a_second_count_from_the_first_answer_and_not_from_the_wait_for_it(
    classify: Classifier, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(live_module, "perf_counter", lambda: now[0])
    stream = Stream(classify, clip)
    live = Live(stream.summary)
    assert live.snapshot().minute_fps == 0
    now[0] = 110.0  # a browser whose camera is not yet sent
    for result in stream:
        live.record(result)
    now[0] = 112.0
    assert live.snapshot().minute_fps == 20
