"""A histogram of constant size for durations, from nanoseconds to hours."""

from __future__ import annotations

from array import array
from itertools import accumulate

# 512 buckets an octave: a bucket is at most 1/512 as wide as its value, its middle is within 0.1%.
_BITS = 9
_LARGEST = 46  # octaves: 2**46 ns are 19 hours
_BUCKETS = (_LARGEST - _BITS + 1) << _BITS


class Histogram:
    """Counts durations in buckets whose width grows with the value; 150 kB whatever it holds.

    Count, mean, smallest and largest are exact. A duration beyond the last bucket is counted in it
    and stands in `max_ns` as it was.
    """

    __slots__ = ("_counts", "count", "max_ns", "min_ns", "total_ns")

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.count = 0
        self.total_ns = 0
        self.min_ns = 0
        self.max_ns = 0

    def record(self, duration_ns: int) -> None:
        """Count one duration. A negative one, of a clock that went back, counts as 0."""
        duration_ns = max(duration_ns, 0)
        shift = duration_ns.bit_length() - _BITS - 1
        bucket = (shift << _BITS) + (duration_ns >> shift) if shift > 0 else duration_ns
        self._counts[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1
        if not self.count or duration_ns < self.min_ns:
            self.min_ns = duration_ns
        self.max_ns = max(self.max_ns, duration_ns)
        self.count += 1
        self.total_ns += duration_ns

    @property
    def mean_ns(self) -> float:
        return self.total_ns / self.count if self.count else 0.0

    def percentiles_ns(self, *fractions: float) -> list[float]:
        """The durations that these fractions (0 to 1, ascending) of the samples do not exceed.

        Within 0.1% of the sample of that rank; 0 for an empty histogram.
        """
        if not self.count:
            return [0.0 for _ in fractions]
        found: list[float] = []
        ranks = [
            max(1, min(self.count, -int(-fraction * self.count // 1))) for fraction in fractions
        ]
        for bucket, seen in enumerate(accumulate(self._counts)):
            while len(found) < len(ranks) and seen >= ranks[len(found)]:
                found.append(min(max(_middle(bucket), self.min_ns), self.max_ns))
            if len(found) == len(ranks):
                break
        return [
            float(self.max_ns if rank == self.count else value)
            for rank, value in zip(ranks, found, strict=True)
        ]


def _middle(bucket: int) -> float:
    shift = (bucket >> _BITS) - 1
    if shift <= 0:
        return float(bucket)
    lowest = (bucket - (shift << _BITS)) << shift
    return lowest + ((1 << shift) - 1) / 2
