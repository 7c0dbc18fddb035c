"""The ratio of two medians, and how far the noise lets it be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
Blocks = Sequence[Sequence[float]]  # samples of each turn, or of each part of one measurement


@dataclass(frozen=True)
class Ratio:
    """How many times as long one takes as another: medians of `end_to_end`.

    Attributes:
        low, high: the 95% interval; None where there was one turn alone.
        how: what took turns, in words.
    """

    what: str
    to: str
    ratio: float
    low: float | None
    high: float | None
    turns: int
    how: str


@dataclass(frozen=True)
class Change:
    """One figure then and now; `ratio` is now by then."""

    figure: str
    then: float
    now: float
    ratio: float


@dataclass(frozen=True)
class Against:
    """A profile held to an older one of the same thing.

    Attributes:
        ratio: of the medians of `end_to_end`, now by then, with its 95% interval.
        tolerance: the share that is never called a regression.
        is_regression: the interval lies above 1 and the ratio above 1 + tolerance.
        is_gain: the same the other way round.
        changes: other figures, that decide nothing.
    """

    baseline: str
    ratio: float
    low: float
    high: float
    tolerance: float
    is_regression: bool
    is_gain: bool
    changes: list[Change]


def paired(ours: Blocks, theirs: Blocks) -> tuple[float, float, float]:
    """(ratio of the medians of all samples, its 95% interval) of what took turns.

    Whole turns are resampled (a cluster bootstrap): frames of a turn resemble each other. What
    slows a turn slows both, and stays together in every resample.
    """
    picks = _picks(len(ours))
    mine, other = _arrays(ours), _arrays(theirs)
    drawn = [_median(mine, pick) / _median(other, pick) for pick in picks]
    return (_median(mine) / _median(other), *_middle(drawn))


def apart(now: Blocks, then: Blocks) -> tuple[float, float, float]:
    """The same of what was measured at two times: either side is resampled by itself."""
    picks = zip(_picks(len(now), seed=1), _picks(len(then), seed=2), strict=True)
    mine, other = _arrays(now), _arrays(then)
    drawn = [_median(mine, a) / _median(other, b) for a, b in picks]
    return (_median(mine) / _median(other), *_middle(drawn))


def _picks(count: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))


def _arrays(blocks: Blocks) -> list[NDArray[np.float64]]:
    return [np.asarray(block, np.float64) for block in blocks]


def _median(blocks: list[NDArray[np.float64]], picked: NDArray[np.int64] | None = None) -> float:
    """The sample of the middle rank, as `Percentiles` has it."""
    samples = np.concatenate(blocks if picked is None else [blocks[i] for i in picked])
    middle = (len(samples) - 1) // 2
    return float(np.partition(samples, middle)[middle])


def _middle(drawn: list[float]) -> tuple[float, float]:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
