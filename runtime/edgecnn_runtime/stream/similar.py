"""Frames that show what another one has shown already."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
LEVELS = 6.0  # of 255: mean difference below which two frames show the same; see its test


def thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 (32, 32, 3): a frame without its noise and its brightness.

    The mean is taken out, since a camera's exposure changes it all the time.
    """
    small = cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (3, 3), 0).astype(np.float32)
    centred: NDArray[np.float32] = small - small.mean()
    return centred


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Mean difference of two thumbnails, in levels of 255."""
    return float(np.abs(one - other).mean())
