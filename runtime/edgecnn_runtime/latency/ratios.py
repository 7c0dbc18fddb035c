"""The ratio of two medians, and how far the noise lets it be known."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 2000


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


def paired(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """(ratio of the medians, its 95% interval) of what took turns, bootstrapped over the turns.

    What slows a turn slows both, and stays together in every resample.
    """
    source, count = random.Random(0), len(ours)
    drawn = []
    for _ in range(RESAMPLES):
        picks = source.choices(range(count), k=count)
        drawn.append(median(ours[i] for i in picks) / median(theirs[i] for i in picks))
    return (median(ours) / median(theirs), *_middle(drawn))


def apart(now: Sequence[float], then: Sequence[float]) -> tuple[float, float, float]:
    """The same of what was measured at two times: either side is resampled by itself."""
    source = random.Random(0)
    drawn = [
        median(source.choices(now, k=len(now))) / median(source.choices(then, k=len(then)))
        for _ in range(RESAMPLES)
    ]
    return (median(now) / median(then), *_middle(drawn))


def _middle(drawn: list[float]) -> tuple[float, float]:
    drawn.sort()
    return drawn[int(0.025 * len(drawn))], drawn[int(0.975 * len(drawn)) - 1]
