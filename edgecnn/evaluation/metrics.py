"""Figures of a classifier, from its probabilities and the truth. Counted in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.evaluation.curves import average_precisions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROWS = 1024  # looked at together


@dataclass(frozen=True)
class Metrics:
    """Fractions from 0 to 1. `top1` and `top5` are over images; the others are means over the
    classes that occur among the images.

    Attributes:
        top5: top-K with K the number of classes where there are fewer than five.
        precision: of the images called a class, those that are one; 0 for a class never called.
        recall: of the images of a class, those called so.
        specificity: of the images of other classes, those not called so.
        accuracy: of all images, those rightly called or rightly not called a class.
        map: mean average precision, the area under each class's precision-recall curve.
    """

    images: int
    top1: float
    top5: float
    precision: float
    recall: float
    specificity: float
    accuracy: float
    map: float


@dataclass(frozen=True)
class Counts:
    """What happened to each class.

    Attributes:
        total: images in all.
        images: (classes,), of each class.
        called: (classes,), images that were called so, rightly or not.
        tp: (classes,), images of the class that were called so.
    """

    total: int
    images: Ints
    called: Ints
    tp: Ints

    @property
    def fp(self) -> Ints:
        return self.called - self.tp

    @property
    def fn(self) -> Ints:
        return self.images - self.tp

    @property
    def tn(self) -> Ints:
        return self.total - self.images - self.called + self.tp

    @property
    def precision(self) -> Floats:
        return _share(self.tp, self.called)

    @property
    def recall(self) -> Floats:
        return _share(self.tp, self.images)

    @property
    def specificity(self) -> Floats:
        return _share(self.tn, self.total - self.images)

    @property
    def accuracy(self) -> Floats:
        return (self.tp + self.tn) / self.total

    @property
    def f1(self) -> Floats:
        return _share(2 * self.tp, self.images + self.called)


def count(called: Ints, targets: Ints, classes: int) -> Counts:
    """Count decisions.

    Args:
        called, targets: (N,), the class that each image was called, and the true one.
    """
    return Counts(
        total=len(targets),
        images=np.bincount(targets, minlength=classes),
        called=np.bincount(called, minlength=classes),
        tp=np.bincount(targets[called == targets], minlength=classes),
    )


def truth_ranks(probabilities: NDArray[np.float32], targets: Ints) -> Ints:
    """How many classes stand before the true one: 0 where the answer is right, (N,).

    Of equals the first class stands before, as everywhere.
    """
    ranks = np.empty(len(targets), np.int64)
    classes = np.arange(probabilities.shape[1])
    for start in range(0, len(targets), ROWS):
        part = slice(start, start + ROWS)
        rows, truth = probabilities[part], targets[part, None]
        own = np.take_along_axis(rows, truth, 1)
        ahead = (rows > own) | ((rows == own) & (classes < truth))
        ranks[part] = np.count_nonzero(ahead, axis=1)
    return ranks


def measure(probabilities: NDArray[np.float32], targets: Ints) -> Metrics:
    """Judge answers.

    Args:
        probabilities: (N, classes); each row's largest is the decision, of equals the first.
        targets: (N,), the true class of each.
    """
    counts = count(probabilities.argmax(1), targets, probabilities.shape[1])
    ranks = truth_ranks(probabilities, targets)
    return summarise(counts, ranks, average_precisions(probabilities, targets))


def summarise(counts: Counts, ranks: Ints, ap: Floats) -> Metrics:
    """Put the figures of classes together.

    Args:
        ranks: of `truth_ranks`.
        ap: (classes,), NaN for a class without images.
    """
    present = counts.images > 0

    def mean(values: Floats) -> float:
        return float(values[present].mean())

    return Metrics(
        images=counts.total,
        top1=float(counts.tp.sum() / counts.total),
        top5=float((ranks < 5).mean()),
        precision=mean(counts.precision),
        recall=mean(counts.recall),
        specificity=mean(counts.specificity),
        accuracy=mean(counts.accuracy),
        map=mean(ap),
    )


def _share(part: Ints, whole: Ints) -> Floats:
    """0 where there is nothing to share."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
