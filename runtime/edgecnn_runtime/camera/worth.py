"""Whether what a camera gives is a new picture."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("edgecnn")


class FrameCheck:
    """Tells new pictures from repeats and from pictures of nothing, which are not to be classified.

    A sensor has noise: two frames that are alike to the last bit are one frame twice, of a driver
    or a grabber that has frozen, and a frame of one level only is what drivers give where they have
    no picture. Both are held back, so that the source counts as lost after a while. Where it shows
    the same picture again after it was opened anew, the scene itself is still, as a test picture's
    is: then repeats are let through.

    Args:
        repeats: take repeats from the start: a video codec gives them where nothing moves.
        blank: take pictures of one level too, as of a screen.

    Attributes:
        why: what it held back since the last new picture; None where nothing.
    """

    def __init__(self, name: str, *, repeats: bool = False, blank: bool = False) -> None:
        self.why: str | None = None
        self._name = name
        self._takes_repeats = repeats
        self._takes_blank = blank
        self._last: NDArray[np.uint8] | None = None
        self._is_first = False
        self._was_frozen = False

    def reopened(self) -> None:
        """What comes next is of a new connection."""
        self._is_first = True
        self._was_frozen = self.why is not None
        self.why = None

    def is_new(self, frame: NDArray[np.uint8]) -> bool:
        """Whether a frame, uint8 (H, W, 3), is worth classifying."""
        last = self._last
        if last is not None and last.shape != frame.shape:
            (height, width), (before_h, before_w) = frame.shape[:2], last.shape[:2]
            log.warning(
                "camera %s: frames are %dx%d now, they were %dx%d",
                *(self._name, width, height, before_w, before_h),
            )
            last = None
        if not self._takes_blank and _is_blank(frame):
            self.why = "its pictures are blank"
            return False
        first, self._is_first = self._is_first, False
        if last is None or self._takes_repeats or not _are_same(frame, last):
            self._last = frame
            self.why = None
            return True
        if first and self._was_frozen:
            log.warning(
                "camera %s shows the same picture after it was opened again: a still scene, whose"
                " repeats are taken from now on",
                self._name,
            )
            self._takes_repeats = True
            self.why = None
            return True
        self.why = "it repeats one picture"
        return False


# At a camera's pace nothing of a frame is in the cache: a single row tells most frames apart, at a
# fifth of what it takes to look at all of them.


def _are_same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    middle = len(one) // 2
    return one[middle].tobytes() == other[middle].tobytes() and np.array_equal(one, other)


def _is_blank(frame: NDArray[np.uint8]) -> bool:
    """Whether every pixel is the same."""
    row = frame[0].tobytes()
    if row != frame[0, 0].tobytes() * frame.shape[1]:
        return False
    return not (frame != frame[0, 0]).any()
