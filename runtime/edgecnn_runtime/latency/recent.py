"""Durations of the last minute, in constant memory."""

from __future__ import annotations

from time import perf_counter_ns

from edgecnn_runtime.latency.histogram import Histogram

SECONDS = 60
SLICE = 5  # seconds; what falls out of the minute does so a slice at a time
BITS = 6  # within 0.8%


class Recent:
    """A histogram of what was recorded in the last minute: thirteen slices, 270 kB.

    One thread records, any other reads. Covers 60 to 65 seconds, since the slice that has begun is
    not yet full.
    """

    def __init__(self) -> None:
        self._slices = [(-1, Histogram(BITS)) for _ in range(SECONDS // SLICE + 1)]

    def record(self, duration_ns: int, now_ns: int | None = None) -> None:
        """Count one duration."""
        number = _slice(now_ns)
        place = number % len(self._slices)
        if self._slices[place][0] != number:
            self._slices[place] = (number, Histogram(BITS))
        self._slices[place][1].record(duration_ns)

    def histogram(self, now_ns: int | None = None) -> Histogram:
        """All of the last minute, as one histogram of the caller's own."""
        newest = _slice(now_ns)
        whole = Histogram(BITS)
        for number, part in list(self._slices):
            if number >= 0 and newest - len(self._slices) < number <= newest:
                whole.add(part)
        return whole


def _slice(now_ns: int | None) -> int:
    return (perf_counter_ns() if now_ns is None else now_ns) // (SLICE * 10**9)


def covered_seconds(now_ns: int | None = None) -> float:
    """How far back `Recent` reaches now: 60 to 65 seconds."""
    now_ns = perf_counter_ns() if now_ns is None else now_ns
    return SECONDS + now_ns / 1e9 % SLICE
