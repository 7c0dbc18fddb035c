"""A camera: opened, lost, found again."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Literal, Protocol

import cv2
import numpy as np

from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.source import Captured
from edgecnn_runtime.errors import SourceError

log = logging.getLogger("edgecnn")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0  # seconds


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that a camera needs."""

    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, object]: ...
    def get(self, prop: int, /) -> float: ...
    def release(self) -> None: ...


class CameraSource:
    """Frames of a camera, for as long as there is one.

    A camera that stops giving frames is closed and opened again after pauses that grow and are
    jittered, until it is back or `stop` is called. Whoever reads waits meanwhile: no old or black
    frame is made up.

    Args:
        connect: opens the camera; raises SourceError.
        pause: waits some seconds, or less when the source is stopped; tests inject their own.
        jitter: a number from 0 to 1 for each pause.

    Raises:
        SourceError: the camera cannot be opened the first time.
    """

    is_live = True
    age_from: Literal["capture", "arrival"] = "arrival"

    def __init__(
        self,
        name: str,
        connect: Callable[[], Capture],
        *,
        pause: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.errors = 0
        self.reconnects = 0
        self._index = 0
        self._connect = connect
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._jitter = jitter
        self._capture: Capture | None = connect()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = rate if 0 < rate < 1000 else None

    def read(self) -> Captured | None:
        """The next frame, after a reconnect where that is needed; None once stopped."""
        while not self._stopped.is_set():
            if self._capture is None:
                self._reconnect()
                continue
            captured = self._grab(self._capture)
            if captured is not None:
                return captured
            if not self._stopped.is_set():
                log.warning("camera %s is lost; looking for it", self.name)
            self.close()
        return None

    def _grab(self, capture: Capture) -> Captured | None:
        if not capture.grab():
            return None
        stamp_ns, utc = perf_counter_ns(), datetime.now(timezone.utc)  # decoding is part of the age
        good, frame = capture.retrieve()
        if not good or not isinstance(frame, np.ndarray) or not frame.size:
            return None
        self._index += 1
        return Captured(frame, stamp_ns, utc, self._index - 1)

    def _reconnect(self) -> None:
        began = perf_counter()
        longest = FIRST_PAUSE
        while not self._stopped.is_set():
            self._pause(longest * (0.5 + 0.5 * self._jitter()))
            longest = min(2 * longest, LONGEST_PAUSE)
            if self._stopped.is_set():
                return
            try:
                self._capture = self._connect()
            except SourceError:
                continue
            self.reconnects += 1
            log.warning("camera %s is back after %.1f s", self.name, perf_counter() - began)
            return

    def stop(self) -> None:
        """End `read`, from any thread, a pause between attempts included."""
        self._stopped.set()

    def close(self) -> None:
        """Release the camera."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def connect_camera(index: int) -> Capture:
    """Open a camera by its number and take a first frame.

    Raises:
        SourceError: absent, not permitted, or busy.
    """
    device = Path(f"/dev/video{index}")
    if sys.platform == "linux":
        _check_device(device, index)
    with quiet_opencv():
        capture = cv2.VideoCapture(index)
        if capture.isOpened() and capture.grab():
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
