"""Latency of variants that were not measured, from what they have to compute and to move.

Inference, one model for each precision: milliseconds = a · layers + b · MACs + c · values that the
layers read and write + d · weights, each factor zero or more (Lawson and Hanson, 1974). So a layer
costs its call, its arithmetic and its memory traffic, and none of them makes a network faster.
Errors are weighed as shares: a millisecond too much is much for a small network. What comes before
and after inference depends on the resolution alone, and is taken from what was measured at the
same one, or at the nearest. The model is a device's and a family's: it knows no names, and says
nothing of another device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn_export.sweep.folder import Features
from edgecnn_runtime.errors import InputError

LEAST = 3  # measured variants to fit to
TERMS = ("layers", "macs", "activations", "weights")


class Sample(NamedTuple):
    """A measured variant: milliseconds of inference, and of all else from frame to label."""

    features: Features
    infer_ms: float
    rest_ms: float

    @property
    def whole_ms(self) -> float:
        return self.infer_ms + self.rest_ms


@dataclass(frozen=True)
class LatencyModel:
    """How long a variant takes.

    Attributes:
        factors: milliseconds of inference for one layer, one MAC, one value, one weight.
        rest: pixels of the input -> milliseconds of all else.
    """

    factors: tuple[float, ...]
    rest: dict[int, float]

    def predict(self, features: Features) -> float:
        """Milliseconds from frame to label."""
        nearest = min(self.rest, key=lambda pixels: abs(math.log(pixels / features.pixels)))
        return float(_row(features) @ np.array(self.factors)) + self.rest[nearest]


@dataclass(frozen=True)
class Fit:
    """A fitted model, and how far to trust it.

    Attributes:
        errors: of each measured variant, predicted by a model of all others, as a share of what was
            measured; empty where there are too few to leave one out.
    """

    model: LatencyModel
    measured: int
    errors: tuple[float, ...]

    @property
    def median_error(self) -> float | None:
        return median(self.errors) if self.errors else None

    @property
    def worst_error(self) -> float | None:
        return max(self.errors, default=None)


def fit_latency(samples: Sequence[Sample]) -> Fit:
    """Fit a model to measured variants of one precision on one device.

    Raises:
        InputError: fewer than three.
    """
    if len(samples) < LEAST:
        raise InputError(
            f"{len(samples)} measured variants; a latency model needs {LEAST} or more of each"
            " precision"
        )
    errors = []
    if len(samples) > LEAST:
        for left, sample in enumerate(samples):
            others = [other for i, other in enumerate(samples) if i != left]
            errors.append(abs(_solve(others).predict(sample.features) / sample.whole_ms - 1))
    return Fit(_solve(samples), len(samples), tuple(errors))


def _row(features: Features) -> NDArray[np.float64]:
    return np.array([getattr(features, term) for term in TERMS], dtype=np.float64)


def _solve(samples: Sequence[Sample]) -> LatencyModel:
    from scipy.optimize import nnls

    weighed = np.stack([_row(s.features) / s.infer_ms for s in samples])
    scale = np.maximum(weighed.max(0), 1e-300)  # counts differ by six orders
    factors = nnls(weighed / scale, np.ones(len(samples)))[0] / scale
    rest: dict[int, list[float]] = {}
    for sample in samples:
        rest.setdefault(sample.features.pixels, []).append(sample.rest_ms)
    return LatencyModel(tuple(factors.tolist()), {p: median(ms) for p, ms in rest.items()})


def choose_measured(features: Sequence[Features], count: int) -> list[int]:
    """Which variants to measure: the largest and the smallest, then always the one farthest off.

    Distances are between logarithms of the counts, so that twice as much is as far everywhere. A
    model interpolates well and extrapolates badly: the limits come first.

    Returns:
        Positions, in the order in which they were chosen.
    """
    if count < LEAST:
        raise InputError(f"--measure {count}; expected {LEAST} or more, to fit a model to")
    places = [tuple(math.log(max(getattr(f, t), 1)) for t in TERMS) for f in features]
    order = sorted(range(len(features)), key=lambda i: features[i].macs)
    chosen = list(dict.fromkeys([order[-1], order[0]]))
    while len(chosen) < min(count, len(features)):
        left = [i for i in order if i not in chosen]
        chosen.append(max(left, key=lambda i: min(math.dist(places[i], places[c]) for c in chosen)))
    return chosen
