"""What is taken of a source: fewer frames, a part of the picture, turned, in rounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter_ns
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.settings import Settings
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.errors import SourceError

_TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


class _Wrapper:
    """Passes on what a source tells about itself."""

    def __init__(self, inner: Source) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def is_live(self) -> bool:
        return self.inner.is_live

    @property
    def age_from(self) -> Literal["capture", "arrival"]:
        return self.inner.age_from

    @property
    def fps(self) -> float | None:
        return self.inner.fps

    @property
    def reconnects(self) -> int:
        return self.inner.reconnects

    @property
    def errors(self) -> int:
        return self.inner.errors

    @property
    def dropped(self) -> int:
        return self.inner.dropped

    def stop(self) -> None:
        self.inner.stop()

    def close(self) -> None:
        self.inner.close()


def adjusted(source: Source, settings: Settings) -> Source:
    """The source itself where nothing is asked of it, or else an `AdjustedSource`."""
    asked = (settings.skip, settings.fps, settings.rotate, settings.roi)
    asked_of_live = (settings.every_frame,) if source.is_live else ()
    return AdjustedSource(source, settings) if any((*asked, *asked_of_live)) else source


class AdjustedSource(_Wrapper):
    """Leaves frames out, turns the picture and cuts the region of interest out of it.

    Attributes:
        every_frame: whether whoever takes its frames is to let them wait, too.

    Raises:
        SourceError: from `read`: the region lies outside of the picture.
    """

    def __init__(self, inner: Source, settings: Settings) -> None:
        super().__init__(inner)
        self.every_frame = settings.every_frame
        self._settings = settings
        self._stopped = threading.Event()
        self._due_ns: int | None = None
        self._left_out = settings.skip  # so that the first frame is taken

    @property
    def fps(self) -> float | None:
        """Of what is taken."""
        known = self.inner.fps
        rate = known / (self._settings.skip + 1) if known is not None else None
        most = self._settings.fps
        return rate if most is None else most if rate is None else min(rate, most)

    def read(self) -> Captured | None:
        """The next frame that is taken; None at the end."""
        while True:
            if not self.inner.is_live and not self._wait():
                return None
            captured = self.inner.read()
            if captured is None:
                return None
            if self._left_out < self._settings.skip:
                self._left_out += 1
            elif not self.inner.is_live or self._is_due(captured.stamp_ns):
                self._left_out = 0
                # A film at a rate that was asked for is played: its time is that of whoever looks.
                film_s = captured.film_s if self._settings.fps is None else None
                return replace(captured, frame=self._picture(captured.frame), film_s=film_s)

    def _wait(self) -> bool:
        """Until a file's next frame is due; False once stopped."""
        if self._settings.fps is None or self._left_out < self._settings.skip:
            return not self._stopped.is_set()
        now = perf_counter_ns()
        due = now if self._due_ns is None else max(self._due_ns, now - self._period_ns)
        self._due_ns = due + self._period_ns
        return not self._stopped.wait(max(0, due - now) / 1e9)

    def _is_due(self, stamp_ns: int) -> bool:
        """Whether a live source's frame comes when one is wanted, or less than half too soon."""
        if self._settings.fps is None:
            return True
        due = stamp_ns if self._due_ns is None else max(self._due_ns, stamp_ns - self._period_ns)
        source_ns = 1e9 / self.inner.fps if self.inner.fps else 0
        if stamp_ns < due - source_ns / 2:
            return False
        self._due_ns = due + self._period_ns
        return True

    @property
    def _period_ns(self) -> int:
        assert self._settings.fps is not None
        return round(1e9 / self._settings.fps)

    def _picture(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._settings.rotate:
            frame = np.asarray(cv2.rotate(frame, _TURNS[self._settings.rotate]), np.uint8)
        if self._settings.roi is None:
            return frame
        x, y, width, height = self._settings.roi
        part = frame[y : y + height, x : x + width]
        if part.shape[:2] != (height, width):
            raise SourceError(
                f"the region {x},{y},{width},{height} lies outside of the"
                f" {frame.shape[1]}x{frame.shape[0]} frames of {self.name}"
            )
        return np.ascontiguousarray(part)

    def stop(self) -> None:
        self._stopped.set()
        super().stop()


class LoopedSource(_Wrapper):
    """A file that begins again where it ends, until it is stopped.

    Args:
        open_again: opens it.

    Raises:
        SourceError: it cannot be opened, or later not a second time.
    """

    def __init__(self, open_again: Callable[[], Source]) -> None:
        super().__init__(open_again())
        self._open_again = open_again
        self._errors = 0
        self._index = 0
        self._stopped = False

    @property
    def errors(self) -> int:
        """Of all rounds."""
        return self._errors + self.inner.errors

    def read(self) -> Captured | None:
        """The next frame; None once stopped, or where a whole round had none."""
        captured = self.inner.read()
        if captured is None and not self._stopped:
            self.inner.close()
            self._errors += self.inner.errors
            self.inner = self._open_again()
            captured = self.inner.read()
        if captured is None or self._stopped:
            return None
        index, self._index = self._index, self._index + 1
        film_s = index / self.fps if captured.film_s is not None and self.fps else None
        return replace(captured, index=index, film_s=film_s)

    def stop(self) -> None:
        self._stopped = True
        super().stop()
