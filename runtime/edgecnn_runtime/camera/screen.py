"""The screen as a camera, through mss."""

from __future__ import annotations

from time import perf_counter, sleep
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import SourceError, one_line

RATE = 30.0  # pictures a second, where nothing else is asked for


def connect_screen(number: int, fps: float | None) -> ScreenCapture:
    """Open a screen; 0 is all of them together, 1 the first.

    Raises:
        SourceError: mss is not installed, there is no display, or no such screen.
    """
    try:
        import mss
    except ImportError:
        raise SourceError("screen:// needs mss: pip install mss") from None
    try:
        grabber = mss.mss()
        screens = grabber.monitors
    except Exception as error:  # of every system another
        raise SourceError(f"the screen cannot be read: {one_line(error)}") from None
    if number >= len(screens):
        grabber.close()
        raise SourceError(f"no screen {number}; there are {len(screens) - 1}, counted from 1")
    return ScreenCapture(grabber, screens[number], fps or RATE)


class ScreenCapture:
    """Pictures of a screen at a pace. To be used by the thread that opened it, as X11 wants."""

    def __init__(self, grabber: Any, area: dict[str, int], fps: float) -> None:
        self._grabber = grabber
        self._area = area
        self._fps = fps
        self._due = perf_counter()

    def grab(self) -> bool:
        """Wait until a picture is due; taking it is then a part of its age."""
        now = perf_counter()
        if self._due > now:
            sleep(self._due - now)
        self._due = max(self._due, now) + 1 / self._fps
        return True

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        shot = self._grabber.grab(self._area)
        pixels = np.frombuffer(shot.bgra, np.uint8).reshape(shot.height, shot.width, 4)
        return True, np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), np.uint8)

    def get(self, prop: int, /) -> float:
        return self._fps if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self._grabber.close()
