"""Precision against recall: over thresholds, and over the k most probable classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECALLS = np.linspace(0, 1, 51)  # where curves are drawn
TOP = 10  # the largest k of the curve over top-k
ROWS, COLUMNS = 1024, 64  # in memory once more


class Curve(NamedTuple):
    """The precision-recall curve of one class: a point for each threshold at which recall grows.

    Attributes:
        precision, recall: (T,), from the highest threshold to the lowest; recall ends at 1.
    """

    precision: Floats
    recall: Floats


@dataclass(frozen=True)
class TopK:
    """What comes of calling an image each of its k most probable classes, for k = 1 to K.

    Attributes:
        precision: (classes, K), of the images with the class among the k, those that are one; 0
            where there are none.
        recall: (classes, K), of the images of a class, those with it among the k; NaN for a class
            without images.
        accuracy: (K,), top-k.
    """

    precision: Floats
    recall: Floats
    accuracy: Floats

    @property
    def mean(self) -> tuple[Floats, Floats]:
        """Precision and recall, (K,) each: means over the classes that have images."""
        present = ~np.isnan(self.recall[:, 0])
        return self.precision[present].mean(0), self.recall[present].mean(0)


def precision_recall(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> Curve:
    """Precision and recall when all images of at least so high a score are called the class.

    Args:
        scores: (N,), the class's probability for each image.
        positive: (N,), whether the image is one; at least one is.
    """
    ranked, own = np.sort(scores), np.sort(scores[positive])
    thresholds, first = np.unique(own, return_index=True)
    tp = len(own) - first
    called = len(ranked) - np.searchsorted(ranked, thresholds)
    return Curve((tp / called)[::-1], (tp / len(own))[::-1])


def average_precision(curve: Curve) -> float:
    """The area under the curve in steps: the sum of precision times what recall gains."""
    return float(np.sum(np.diff(curve.recall, prepend=0) * curve.precision))


def class_curves(probabilities: NDArray[np.float32], targets: Ints) -> Iterator[tuple[int, Curve]]:
    """The curve of each class that has images."""
    for start in range(0, probabilities.shape[1], COLUMNS):
        columns = np.ascontiguousarray(probabilities[:, start : start + COLUMNS].T)
        inside = targets[(targets >= start) & (targets < start + COLUMNS)]
        for c in np.unique(inside).tolist():
            yield c, precision_recall(columns[c - start], targets == c)


def average_precisions(probabilities: NDArray[np.float32], targets: Ints) -> Floats:
    """Average precision of each class, (classes,); NaN for a class without images."""
    found = np.full(probabilities.shape[1], np.nan)
    for c, curve in class_curves(probabilities, targets):
        found[c] = average_precision(curve)
    return found


def at_recalls(curve: Curve, recalls: Floats = RECALLS) -> Floats:
    """Precision at the highest threshold that reaches each recall."""
    where = np.searchsorted(curve.recall, recalls - 1e-12)
    return curve.precision[np.minimum(where, len(curve.recall) - 1)]


def top_k(probabilities: NDArray[np.float32], targets: Ints, most: int = TOP) -> TopK:
    """Curves over top-k for k = 1 to `most`, or to the number of classes."""
    classes = probabilities.shape[1]
    most = min(most, classes)
    called = np.zeros((classes, most), np.int64)
    hits = np.zeros((classes, most), np.int64)
    for start in range(0, len(targets), ROWS):
        rows, truth = probabilities[start : start + ROWS].copy(), targets[start : start + ROWS]
        for k in range(most):
            best = rows.argmax(1)  # of equals the first
            rows[np.arange(len(rows)), best] = -np.inf
            called[:, k] += np.bincount(best, minlength=classes)
            hits[:, k] += np.bincount(truth[best == truth], minlength=classes)
    called, hits = called.cumsum(1), hits.cumsum(1)
    images = np.bincount(targets, minlength=classes)[:, None]
    return TopK(
        precision=np.divide(hits, called, out=np.zeros(hits.shape), where=called > 0),
        recall=np.divide(hits, images, out=np.full(hits.shape, np.nan), where=images > 0),
        accuracy=hits.sum(0) / len(targets),
    )
