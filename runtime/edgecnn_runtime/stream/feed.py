"""One source of a stream: its lane, and the figures of what was answered."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Generic, TypeVar

from edgecnn_runtime.camera.adjusted import AdjustedSource
from edgecnn_runtime.camera.intake import Lane
from edgecnn_runtime.camera.source import Source
from edgecnn_runtime.camera.sources import QUEUE
from edgecnn_runtime.latency.histogram import Histogram

T = TypeVar("T")

READ_AHEAD = 2  # frames of a file that wait in memory, preprocessed


class Feed(Generic[T]):
    """One source of a stream: its lane, and the figures of what was answered.

    Args:
        every_frame: of a live source too; as the source was opened where False.

    Attributes:
        frames: answered.
        frame_age: of those.
        error: what ended it before its time, None where nothing did.
    """

    def __init__(self, source: Source, *, every_frame: bool) -> None:
        self.source = source
        self.frames = 0
        self.frame_age = Histogram()
        self.error: str | None = None
        self.every_frame = every_frame or (
            isinstance(source, AdjustedSource) and source.every_frame
        )
        depth = READ_AHEAD if not source.is_live else QUEUE if self.every_frame else 1
        self.lane: Lane[T] = Lane(depth, lossless=not source.is_live)
        self._began_ns = self._last_ns = 0

    def begin(self) -> None:
        """Count the time from now. A second call does nothing."""
        if self._began_ns:
            return
        self._began_ns = self._last_ns = perf_counter_ns()

    def answered(self, done_ns: int, age_ns: int) -> None:
        """Count one answer."""
        self.frames += 1
        self._last_ns = done_ns
        self.frame_age.record(age_ns)

    @property
    def dropped(self) -> int:
        """Frames of a live source that a newer one replaced before they were answered."""
        return self.lane.dropped + self.source.dropped

    @property
    def fps(self) -> float:
        """Answers a second from the beginning to the last."""
        seconds = (self._last_ns - self._began_ns) / 1e9
        return self.frames / seconds if seconds > 0 else 0.0
