"""Precision against recall: over thresholds, and over the k most probable classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECALLS = np.linspace(0, 1, 51)  # where curves are drawn
TOP = 10  # the largest k of the curve over top-k
ROWS = 4096  # sorted at once


class Curve(NamedTuple):
    """A precision-recall curve, as scikit-learn gives it.

    Attributes:
        precision, recall: (T + 1,), at rising thresholds; the last is 1 and 0, where nothing is
            called the class.
        thresholds: (T,), the distinct scores.
    """

    precision: Floats
    recall: Floats
    thresholds: NDArray[np.floating]


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
    """The curve of one class, a point for each distinct score.

    Args:
        scores: (N,), the class's probability for each image.
        positive: (N,), whether the image is one; at least one is.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # equals go together
    tp = np.cumsum(positive[order])[ends].astype(np.float64)
    precision, recall = tp / (1 + ends), tp / tp[-1]
    return Curve(np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), ranked[ends][::-1])


def average_precision(curve: Curve) -> float:
    """The area under the curve in steps: the sum of precision times what recall gains."""
    return float(-np.sum(np.diff(curve.recall) * curve.precision[:-1]))


def average_precisions(probabilities: NDArray[np.float32], targets: Ints) -> Floats:
    """Average precision of each class, (classes,); NaN for a class without images."""
    found = np.full(probabilities.shape[1], np.nan)
    for c in np.unique(targets):
        found[c] = average_precision(precision_recall(probabilities[:, c], targets == c))
    return found


def at_recalls(curve: Curve, recalls: Floats = RECALLS) -> Floats:
    """Precision at the highest threshold that reaches each recall."""
    rising, precision = curve.recall[-2::-1], curve.precision[-2::-1]
    where = np.searchsorted(rising, recalls - 1e-12)
    return precision[np.minimum(where, len(rising) - 1)]


def top_k(probabilities: NDArray[np.float32], targets: Ints, most: int = TOP) -> TopK:
    """Curves over top-k for k = 1 to `most`, or to the number of classes."""
    classes = probabilities.shape[1]
    most = min(most, classes)
    called = np.zeros((classes, most), np.int64)
    hits = np.zeros((classes, most), np.int64)
    for start in range(0, len(targets), ROWS):
        rows, truth = probabilities[start : start + ROWS], targets[start : start + ROWS]
        order = np.argsort(-rows, axis=1, kind="stable")[:, :most]
        for k in range(most):
            called[:, k] += np.bincount(order[:, k], minlength=classes)
            hits[:, k] += np.bincount(truth[order[:, k] == truth], minlength=classes)
    called, hits = called.cumsum(1), hits.cumsum(1)
    images = np.bincount(targets, minlength=classes)[:, None]
    return TopK(
        precision=np.divide(hits, called, out=np.zeros(hits.shape), where=called > 0),
        recall=np.divide(hits, images, out=np.full(hits.shape, np.nan), where=images > 0),
        accuracy=hits.sum(0) / len(targets),
    )
