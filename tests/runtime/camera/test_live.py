from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn_runtime.camera import live
from edgecnn_runtime.camera.live import CameraSource, connect_camera
from edgecnn_runtime.errors import SourceError

FRAME = np.full((4, 4, 3), 7, np.uint8)


class FakeCapture:
    """Gives so many frames and is then lost."""

    def __init__(self, frames: int, last: object = None) -> None:
        self.left, self.last, self.released = frames, last, False

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0 or (self.left == -1 and self.last is not None)

    def retrieve(self) -> tuple[bool, object]:
        return True, FRAME if self.left >= 0 else self.last

    def get(self, prop: int, /) -> float:
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True


class FakeCamera:
    """What each attempt to connect meets: a capture, or None for an error."""

    def __init__(self, *attempts: FakeCapture | None) -> None:
        self.attempts = deque(attempts)

    def __call__(self) -> FakeCapture:
        capture = self.attempts.popleft()
        if capture is None:
            raise SourceError("not there")
        return capture


def test_a_lost_camera_is_found_again_after_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = FakeCapture(2), FakeCapture(1)
    pauses: list[float] = []
    source = CameraSource(
        "front",
        FakeCamera(first, None, None, second),
        pause=pauses.append,
        jitter=lambda: 1.0,
    )
    frames = [source.read() for _ in range(3)]
    assert [c.index for c in frames if c is not None] == [0, 1, 2]
    assert source.reconnects == 1
    assert pauses == [0.25, 0.5, 1.0]
    assert first.released
    assert "camera front is lost" in caplog.text
    assert "camera front is back" in caplog.text


def test_pauses_are_jittered_and_end_at_a_longest() -> None:
    pauses: list[float] = []
    camera = FakeCamera(FakeCapture(0), *[None] * 12, FakeCapture(1))
    CameraSource("x", camera, pause=pauses.append, jitter=lambda: 0.0).read()
    assert pauses[0] == 0.125
    assert max(pauses) == pauses[-1] == live.LONGEST_PAUSE / 2


@pytest.mark.parametrize("nothing", [np.empty((0, 0, 3), np.uint8), "no frame"])
def test_an_empty_frame_counts_as_lost_and_is_never_given(nothing: object) -> None:
    camera = FakeCamera(FakeCapture(1, last=nothing), FakeCapture(1))
    source = CameraSource("x", camera, pause=lambda seconds: None)
    for _ in range(2):
        captured = source.read()
        assert captured is not None
        assert captured.frame is FRAME
    assert source.reconnects == 1


def test_a_stop_ends_a_pause_between_attempts() -> None:
    source: CameraSource

    def pause(seconds: float) -> None:
        source.stop()

    source = CameraSource("x", FakeCamera(FakeCapture(0)), pause=pause)
    assert source.read() is None


def test_a_live_camera_gives_arrival_stamps_and_its_rate() -> None:
    source = CameraSource("x", FakeCamera(FakeCapture(1)))
    assert (source.is_live, source.age_from, source.fps) == (True, "arrival", 30.0)
    captured = source.read()
    assert captured is not None
    assert captured.utc.utcoffset() is not None


def test_a_camera_that_is_absent_at_the_start_is_an_error() -> None:
    with pytest.raises(SourceError, match="not there"):
        CameraSource("x", FakeCamera(None))


linux = pytest.mark.skipif(sys.platform != "linux", reason="/dev/videoN is Linux's")


@linux
def test_an_absent_camera_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="no camera 97: /dev/video97 does not exist"):
        connect_camera(97)
    assert capfd.readouterr().err == ""


@linux
def test_a_camera_that_is_not_permitted_says_which_group_to_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(live, "Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(SourceError, match="sudo usermod -aG"):
        connect_camera(0)


@linux
def test_a_busy_camera_says_how_to_see_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(live, "Path", lambda name: tmp_path / Path(name).name)

    class Busy(FakeCapture):
        def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
            return True

    monkeypatch.setattr(cv2, "VideoCapture", lambda index: Busy(0))
    with pytest.raises(SourceError, match="another program is using it"):
        connect_camera(0)
