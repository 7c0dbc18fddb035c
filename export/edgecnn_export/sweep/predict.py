"""Latency of variants that were not measured, from what they have to compute and to move.

One model for each precision: milliseconds = a · layers + b · MACs + c · values that the layers read
and write + d · weights, each factor zero or more (Lawson and Hanson, 1974). So a layer costs its
call, its arithmetic and its memory traffic, and none of them makes a network faster. Errors are
weighed as shares: a millisecond too much is much for a small network. The model is a device's and a
family's: it knows no names, and says nothing of another device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edgecnn_export.sweep.folder import Features
from edgecnn_runtime.errors import InputError

LEAST = 3  # measured variants to fit to
TERMS = ("layers", "macs", "activations", "weights")


@dataclass(frozen=True)
class LatencyModel:
    """Milliseconds of one layer, of one MAC, of one value, of one weight."""

    factors: tuple[float, ...]

    def predict(self, features: Features) -> float:
        """Milliseconds."""
        return float(_row(features) @ np.array(self.factors))


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


def fit_latency(features: Sequence[Features], milliseconds: Sequence[float]) -> Fit:
    """Fit a model to measured variants of one precision on one device.

    Raises:
        InputError: fewer than three.
    """
    if len(features) < LEAST:
        raise InputError(
            f"{len(features)} measured variants; a latency model needs {LEAST} or more of each"
            " precision"
        )
    x, y = np.stack([_row(f) for f in features]), np.array(milliseconds)
    errors = []
    if len(features) > LEAST:
        for left in range(len(features)):
            others = np.arange(len(features)) != left
            guess = _solve(x[others], y[others])
            errors.append(abs(float(x[left] @ guess / y[left]) - 1))
    return Fit(LatencyModel(tuple(_solve(x, y).tolist())), len(features), tuple(errors))


def _row(features: Features) -> NDArray[np.float64]:
    return np.array([getattr(features, term) for term in TERMS], dtype=np.float64)


def _solve(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.optimize import nnls

    weighed = x / y[:, None]
    scale = np.maximum(np.abs(weighed).max(0), 1e-300)  # counts differ by six orders
    found: NDArray[np.float64] = nnls(weighed / scale, np.ones(len(y)))[0] / scale
    return found


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
