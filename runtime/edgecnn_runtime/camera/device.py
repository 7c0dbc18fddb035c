"""Cameras that Linux, macOS or Windows know by a number."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import cv2

from edgecnn_runtime.camera.connection import Capture
from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.settings import Settings
from edgecnn_runtime.errors import SourceError

log = logging.getLogger("edgecnn")


def connect_camera(index: int, settings: Settings = Settings()) -> Capture:  # noqa: B008  # frozen
    """Open a camera by its number and take a first frame.

    A camera that cannot do the size, rate or format asked for takes another, which is said.

    Raises:
        SourceError: absent, not permitted, or busy.
    """
    device = Path(f"/dev/video{index}")
    if sys.platform == "linux":
        _check_device(device, index)
    with quiet_opencv():
        capture = cv2.VideoCapture(index)
        if capture.isOpened():
            _ask(capture, settings)
            if capture.grab():
                _tell(capture, index, settings)
                return capture
        capture.release()
    if sys.platform == "linux":
        raise SourceError(
            f"{device} gives no picture: another program is using it, or it is not a camera;"
            f" see who: fuser -v {device}"
        )
    raise SourceError(
        f"camera {index} does not open: it is absent, in use by another program, or this program"
        " may not use the camera (privacy settings)"
    )


def _ask(capture: cv2.VideoCapture, settings: Settings) -> None:
    """The format first: which sizes and rates there are depends on it."""
    if settings.format is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.format))
    if settings.size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.size[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.size[1])
    if settings.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, settings.fps)


def _tell(capture: cv2.VideoCapture, index: int, settings: Settings) -> None:
    got = (
        int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
    )
    if settings.size is not None and got != settings.size:
        asked = "x".join(map(str, settings.size))
        log.warning("camera %d gives %dx%d and not %s; going on with that", index, *got, asked)


def _check_device(device: Path, index: int) -> None:
    if not device.exists():
        found = ", ".join(list_cameras()) or "none"
        raise SourceError(f"no camera {index}: {device} does not exist; cameras here: {found}")
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError(
            f"{device} is not permitted to this user; join the group that owns it:"
            f" sudo usermod -aG {_group(device)} $USER, then log in again"
        )


def _group(device: Path) -> str:
    try:
        return device.group()
    except (KeyError, OSError):
        return "video"


def list_cameras() -> list[str]:
    """The video devices of a Linux machine, in order of their numbers; elsewhere none."""
    devices = (p for p in Path("/dev").glob("video*") if p.name[5:].isdecimal())
    return [str(p) for p in sorted(devices, key=lambda p: int(p.name[5:]))]
