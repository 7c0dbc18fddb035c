"""OpenCV and FFmpeg print their own complaints; ours say it in one line, so theirs are silenced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# FFmpeg reads it when the first video is opened. A user who set it keeps what was set.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # after the line above, which it may read


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log for a block. The level is the process's, not the thread's."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
