"""OpenCV and FFmpeg print their own complaints; ours say it in one line, so theirs are silenced."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# FFmpeg reads it when the first video is opened. A user who set it keeps what was set.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # after the line above, which it may read

_SILENT = 0  # OpenCV's LOG_LEVEL_SILENT


_lock = threading.Lock()
_users = 0
_before = 0


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log for a block. The level is the process's: the last of several restores
    what the first found."""
    global _users, _before  # noqa: PLW0603  # as the level is
    logging = getattr(cv2.utils, "logging", cv2)  # where they lay before OpenCV 4.9, as JetPack's
    with _lock:
        if not _users:
            _before = logging.getLogLevel()
            logging.setLogLevel(_SILENT)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                logging.setLogLevel(_before)
