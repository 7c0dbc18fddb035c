from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn_runtime.camera import device
from edgecnn_runtime.camera.device import connect_camera
from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.errors import SourceError


class FakeVideo:
    """A `cv2.VideoCapture` of 640x480 whatever it is asked for; gives frames or not."""

    def __init__(self, *, gives: bool) -> None:
        self.gives = gives
        self.was_set: list[int] = []

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        return True

    def grab(self) -> bool:
        return self.gives

    def retrieve(self) -> tuple[bool, object]:
        return True, np.zeros((4, 4, 3), np.uint8)

    def set(self, prop: int, value: float) -> bool:
        self.was_set.append(prop)
        return True

    def get(self, prop: int, /) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}.get(prop, 0.0)

    def release(self) -> None:
        pass


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
    monkeypatch.setattr(device, "Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    with pytest.raises(SourceError, match="sudo usermod -aG"):
        connect_camera(0)


@linux
def test_a_busy_camera_says_how_to_see_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(device, "Path", lambda name: tmp_path / Path(name).name)
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: FakeVideo(gives=False))
    with pytest.raises(SourceError, match="another program is using it"):
        connect_camera(0)


@linux
def test_a_camera_is_asked_for_format_size_and_rate_and_says_what_it_gives_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(device, "Path", lambda name: tmp_path / Path(name).name)
    video = FakeVideo(gives=True)
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: video)
    connect_camera(0, settings_of({"size": "1280x720", "fps": 60, "format": "mjpg"}))
    assert video.was_set[0] == cv2.CAP_PROP_FOURCC, "which sizes there are depends on the format"
    assert set(video.was_set[1:]) == {
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    }
    assert "camera 0 gives 640x480 and not 1280x720" in caplog.text
