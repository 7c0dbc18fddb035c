"""How much of a figure is chance: intervals of 95%, by resampling the images.

Efron, Tibshirani (1993), An introduction to the bootstrap: percentiles of the figure over samples
of as many images, drawn with replacement. They hold for images that are independent; frames of one
film are not, and their true interval is wider.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = NDArray[np.int32]
Interval = tuple[float, float]

SAMPLES = 1000
LEVEL = 0.95
_Z = 1.959963984540054  # of the normal distribution, at both ends of 95%
_AT_ONCE = 2_000_000  # weights in memory
_LARGEST = 500_000  # images times classes whose precision-recall curves are resampled


def wilson(part: int, whole: int) -> Interval:
    """The interval of a share, which is sound for few images and for all of them.

    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if whole == 0:
        return 0.0, 1.0
    share, z2 = part / whole, _Z**2 / whole
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z * math.sqrt(share * (1 - share) / whole + z2 / (4 * whole)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def resample(images: int, seed: int = 0, samples: int = SAMPLES) -> Iterator[Weights]:
    """How often each image is drawn: (images, some samples) at a time."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // images)
    for start in range(0, samples, at_once):
        rows = min(at_once, samples - start)
        drawn = rng.integers(0, images, (rows, images))
        drawn += np.arange(rows)[:, None] * images
        weights = np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)
        yield np.ascontiguousarray(weights.T, np.int32)


def bootstrap(
    probabilities: NDArray[np.float32], targets: Ints, ranks: Ints, seed: int = 0
) -> dict[str, Interval | None]:
    """Intervals of the fields of `Metrics`.

    Where every answer is right, or none, each sample is like the others and tells nothing: top-1
    and top-5 then have Wilson's interval, and the rest none. mAP has none where resampling it would
    take long.

    Args:
        probabilities: (N, classes).
        ranks: of `truth_ranks`.
    """
    called = probabilities.argmax(1)
    images, classes = probabilities.shape
    drawn: dict[str, list[Floats]] = {}
    curves = _curves(probabilities, targets) if images * classes <= _LARGEST else []
    for weights in resample(images, seed):
        for name, values in _figures(weights, called, targets, ranks, curves).items():
            drawn.setdefault(name, []).append(values)
    found: dict[str, Interval | None] = {
        name: _percentiles(np.concatenate(values)) for name, values in drawn.items()
    }
    for name, k in (("top1", 1), ("top5", 5)):
        if k < classes:  # of five classes one is always among the five
            found[name] = found[name] or wilson(int((ranks < k).sum()), images)
    return {"map": None, **found}


@dataclass(frozen=True)
class Comparison:
    """Top-1 of a second classifier less that of a first, on the same images.

    Attributes:
        difference: above 0 where the second is better.
        interval: of the difference, by resampling the images; None where both are always right, or
            wrong, together.
        gained, lost: images that only the second has right, and only the first.
        p: McNemar's exact test: how often chance alone parts two equal classifiers as far.
    """

    difference: float
    interval: Interval | None
    gained: int
    lost: int
    p: float


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_], seed: int = 0) -> Comparison:
    """Compare two classifiers by what each has right, (N,), on the same images in one order.

    McNemar (1947), Note on the sampling error of the difference between correlated proportions.
    """
    change = second.astype(np.int64) - first.astype(np.int64)
    means = [change @ weights / len(change) for weights in resample(len(change), seed)]
    gained, lost = int((change > 0).sum()), int((change < 0).sum())
    return Comparison(
        difference=float(change.mean()),
        interval=_percentiles(np.concatenate(means)),
        gained=gained,
        lost=lost,
        p=_sign_test(gained, lost),
    )


def _sign_test(gained: int, lost: int) -> float:
    """Two-sided, of fair coins: exact in whole numbers."""
    tosses, term, tail = gained + lost, 1, 0
    for i in range(min(gained, lost) + 1):
        tail += term
        term = term * (tosses - i) // (i + 1)
    return min(1.0, float(2 * tail / 2**tosses))


def _percentiles(values: Floats) -> Interval | None:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return (float(low), float(high)) if values.max() > values.min() else None


def _figures(
    weights: Weights, called: Ints, targets: Ints, ranks: Ints, curves: list[_Sorted]
) -> dict[str, Floats]:
    """The figures of some samples, (samples,) each; weights are (images, samples)."""
    total = len(weights)
    hits = called == targets
    present = np.unique(targets)
    images = _sums(weights, targets, present)  # (classes that occur, samples)
    named = _sums(weights, called, present)
    tp = _sums(weights[hits], targets[hits], present)
    tn = total - images - named + tp
    there = images > 0
    figures = {
        "top1": hits @ weights / total,
        "top5": (ranks < 5) @ weights / total,
        "precision": _mean(_ratio(tp, named), there),
        "recall": _mean(_ratio(tp, images), there),
        "specificity": _mean(_ratio(tn, total - images), there),
        "accuracy": _mean((tp + tn) / total, there),
    }
    if curves:
        figures["map"] = _mean(np.stack([c.resampled(weights) for c in curves]), there)
    return figures


def _sums(weights: Weights, classes: Ints, wanted: Ints) -> Weights:
    """The weight of the images of each wanted class: (wanted, samples)."""
    order = np.argsort(classes, kind="stable")
    there, starts = np.unique(classes[order], return_index=True)
    sums = np.zeros((len(wanted), weights.shape[1]), np.int32)
    known, places = np.isin(there, wanted), np.searchsorted(wanted, there)
    if len(there):
        summed = np.add.reduceat(weights[order], starts, axis=0)
        sums[places[known]] = summed[known]
    return sums


def _ratio(part: Weights | Floats, whole: Weights) -> Floats:
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def _mean(values: Floats, there: NDArray[np.bool_]) -> Floats:
    return np.asarray((values * there).sum(0) / there.sum(0))


@dataclass(frozen=True)
class _Sorted:
    """One class's images by its probability, for average precision with other weights.

    Attributes:
        order: (N,), the most probable first.
        own: those of them that are of the class, in that order.
        all_ends, own_ends: for each threshold, the last in `order` and in `own` that reaches it.
    """

    order: Ints
    own: Ints
    all_ends: Ints
    own_ends: Ints

    def resampled(self, weights: Weights) -> Floats:
        """(images, samples) -> (samples,); 0 for a sample without the class."""
        called = np.cumsum(weights[self.order], axis=0, dtype=np.int32)[self.all_ends]
        tp = np.cumsum(weights[self.own], axis=0, dtype=np.int32)[self.own_ends]
        gained = np.diff(tp, axis=0, prepend=0)
        area = (gained * _ratio(tp, called)).sum(0)
        return _ratio(area, tp[-1])


def _curves(probabilities: NDArray[np.float32], targets: Ints) -> list[_Sorted]:
    curves = []
    for c in np.unique(targets):
        scores = probabilities[:, c]
        order = np.argsort(-scores, kind="stable")
        own = order[targets[order] == c]
        thresholds = np.unique(scores[own])[::-1]  # falling; signs turned, they rise
        all_ends = np.searchsorted(-scores[order], -thresholds, "right") - 1
        own_ends = np.searchsorted(-scores[own], -thresholds, "right") - 1
        curves.append(_Sorted(order, own, all_ends, own_ends))
    return curves
