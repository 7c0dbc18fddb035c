"""A histogram of constant size for durations, from nanoseconds to hours."""

from __future__ import annotations

import operator
from array import array
from bisect import bisect_left
from itertools import accumulate

# 512 buckets an octave: a bucket is at most 1/512 as wide as its value, its middle is within 0.1%.
_BITS = 9
_LARGEST = 46  # octaves: 2**46 ns are 19 hours


class Histogram:
    """Counts durations in buckets whose width grows with the value; 150 kB whatever it holds.

    Count, mean, smallest and largest are exact. A duration beyond the last bucket is counted in it
    and stands in `max_ns` as it was. Another thread may read while one records.

    Args:
        bits: a percentile is within `2**-(bits + 1)` of the sample of its rank: 0.1% by default;
            6 bits are 0.8% and 21 kB.
    """

    __slots__ = ("_bits", "_counts", "count", "max_ns", "min_ns", "total_ns")

    def __init__(self, bits: int = _BITS) -> None:
        self._bits = bits
        self._counts = array("Q", bytes(8 * ((_LARGEST - bits + 1) << bits)))
        self.count = 0
        self.total_ns = 0
        self.min_ns = 0
        self.max_ns = 0

    def record(self, duration_ns: int) -> None:
        """Count one duration. A negative one, of a clock that went back, counts as 0."""
        duration_ns = max(duration_ns, 0)
        self._counts[self._bucket(duration_ns)] += 1
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
        count = self.count  # before the buckets: another thread may add to them meanwhile
        if not count:
            return [0.0 for _ in fractions]
        ranks = [max(1, min(count, -int(-fraction * count // 1))) for fraction in fractions]
        # Only between the ends: of the whole, most is empty, and this is asked for while a camera
        # runs.
        lowest, highest = self._bucket(self.min_ns), self._bucket(self.max_ns)
        seen = list(accumulate(self._counts[lowest : highest + 1]))
        middles = (self._middle(lowest + bisect_left(seen, rank)) for rank in ranks)
        found = [min(max(middle, self.min_ns), self.max_ns) for middle in middles]
        return [
            float(self.max_ns if rank == count else value)
            for rank, value in zip(ranks, found, strict=True)
        ]

    def _bucket(self, duration_ns: int) -> int:
        shift = duration_ns.bit_length() - self._bits - 1
        bucket = (shift << self._bits) + (duration_ns >> shift) if shift > 0 else duration_ns
        return min(bucket, len(self._counts) - 1)

    def _middle(self, bucket: int) -> float:
        bits = self._bits
        shift = (bucket >> bits) - 1
        if shift <= 0:
            return float(bucket)
        lowest = (bucket - (shift << bits)) << shift
        return lowest + ((1 << shift) - 1) / 2

    def add(self, other: Histogram) -> None:
        """Count all that another histogram of the same `bits` holds."""
        count = other.count  # before the buckets, see percentiles_ns
        if not count:
            return
        held = slice(other._bucket(other.min_ns), other._bucket(other.max_ns) + 1)
        self._counts[held] = array("Q", map(operator.add, self._counts[held], other._counts[held]))
        self.min_ns = min(self.min_ns, other.min_ns) if self.count else other.min_ns
        self.max_ns = max(self.max_ns, other.max_ns)
        self.count += count
        self.total_ns += other.total_ns
