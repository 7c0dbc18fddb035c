"""The window, and whether there can be one."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2

from edgecnn_runtime.stream.overlay import annotate
from edgecnn_runtime.stream.result import Result

TITLE = "edgecnn"
_PROBE = "import cv2; cv2.namedWindow('edgecnn'); cv2.pollKey(); cv2.destroyAllWindows()"
_QUIT = (27, ord("q"))  # Escape


def window_problem() -> str | None:
    """Why no window can be shown here, with what to do about it; None where one can.

    OpenCV's window system ends the whole process where the display does not answer, so that a child
    process tries first.
    """
    linux = sys.platform.startswith("linux")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no display here (DISPLAY is not set)"
    if not _has_windows():
        return (
            "this OpenCV was built without windows; to have one: pip uninstall -y"
            " opencv-python-headless && pip install opencv-python"
        )
    if linux and not _probe():
        return f"the display {os.environ.get('DISPLAY') or 'of Wayland'} does not answer"
    return None


def _has_windows() -> bool:
    for line in cv2.getBuildInformation().splitlines():
        name, _, value = line.strip().partition(":")
        if name == "GUI":
            return value.strip() not in ("NONE", "")
    return True  # older builds name the window system in another way; the probe tells


def _probe() -> bool:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class Window:
    """Show results. To be used by the main thread alone."""

    def __init__(self, *, random_weights: bool = False) -> None:
        self._random_weights = random_weights
        # OpenCV's Qt complains of fonts that its wheel does not bring and that nothing here uses.
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
        cv2.namedWindow(TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)  # no toolbar
        self._shown = False

    def show(self, result: Result, fps: float | None) -> bool:
        """Show one result; False once the user has closed the window or pressed q or Escape."""
        if self._shown and cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return False
        picture = annotate(result.shown, result, fps=fps, random_weights=self._random_weights)
        cv2.imshow(TITLE, picture)
        self._shown = True
        return cv2.pollKey() & 0xFF not in _QUIT

    def close(self) -> None:
        cv2.destroyAllWindows()
