"""Figures of a classifier, from its probabilities and the truth."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_average_precision,
    multiclass_stat_scores,
)


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


def measure(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> Metrics:
    """Judge answers.

    Args:
        probabilities: (N, classes); each row's largest is the decision, of equals the first.
        targets: (N,), the true class of each.
    """
    answers, truth = torch.from_numpy(probabilities).double(), torch.from_numpy(targets)
    classes = answers.shape[1]
    top5 = multiclass_accuracy(answers, truth, classes, "micro", top_k=min(5, classes))
    scores = multiclass_stat_scores(answers.argmax(1), truth, classes, average=None)
    tp, fp, tn, fn, support = scores.double().unbind(-1)
    present = support > 0
    with warnings.catch_warnings():
        # It warns of classes without images; they are left out of the mean here.
        warnings.simplefilter("ignore", UserWarning)
        ap = multiclass_average_precision(answers, truth, classes, average=None)
    assert isinstance(ap, torch.Tensor)

    def mean(values: torch.Tensor) -> float:
        return float(values[present].double().mean())

    return Metrics(
        images=len(truth),
        top1=float(tp.sum() / len(truth)),
        top5=float(top5),
        precision=mean(_ratio(tp, tp + fp)),
        recall=mean(_ratio(tp, tp + fn)),
        specificity=mean(_ratio(tn, tn + fp)),
        accuracy=mean((tp + tn) / len(truth)),
        map=mean(ap),
    )


def _ratio(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1), torch.zeros_like(part))
