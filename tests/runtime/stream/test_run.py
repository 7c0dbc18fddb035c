from __future__ import annotations

import os
import signal
from pathlib import Path

import cv2
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.preview import Window
from edgecnn_runtime.stream.run import run_stream, stop_on_signals
from edgecnn_runtime.stream.sinks import open_sinks


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A window system of which only the keys are real: the next one is popped at each frame."""
    pressed: list[int] = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *arguments: None)
    monkeypatch.setattr(cv2, "imshow", lambda *arguments: None)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: 1.0)
    monkeypatch.setattr(cv2, "pollKey", lambda: pressed.pop(0) if pressed else -1)
    return pressed


@pytest.mark.parametrize("key", [27, ord("q")])
def test_escape_and_q_in_the_window_end_the_stream(
    classify: Classifier, clip: Path, keys: list[int], key: int
) -> None:
    keys.extend([-1, ord("x"), key])
    assert run_stream(Stream(classify, clip), window=Window()).frames == 3


def test_closing_the_window_ends_the_stream(
    classify: Classifier, clip: Path, keys: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: 0.0)
    assert run_stream(Stream(classify, clip), window=Window()).frames == 2


def test_the_report_counts_labels_and_the_status_is_told_rarely(
    classify: Classifier, clip: Path
) -> None:
    told: list[float] = []
    report = run_stream(Stream(classify, clip), on_status=lambda result, fps: told.append(fps))
    assert sum(report.labels.values()) == report.frames == 40
    assert 1 <= len(told) < 40


def test_the_first_signal_ends_the_stream_with_its_sinks_whole(
    classify: Classifier, clip: Path, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    stream = Stream(classify, clip)
    sinks = open_sinks([str(tmp_path / "x.jsonl")], lossless=True)

    def interrupt(result: object, fps: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with stop_on_signals(stream.stop):
        report = run_stream(stream, sinks, on_status=interrupt)
    assert 1 <= report.frames < 40
    assert report.sinks[0].frames == report.frames
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_before_the_first_frame_ends_the_stream_too(
    classify: Classifier, clip: Path
) -> None:
    stream = Stream(classify, clip)
    with stop_on_signals(stream.stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert run_stream(stream).frames == 0
