"""All that is told of a classifier's answers to the held-out images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.data import DataSet
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.calibration import Calibration, calibrate
from edgecnn.evaluation.curves import (
    RECALLS,
    TopK,
    at_recalls,
    average_precision,
    class_curves,
    top_k,
)
from edgecnn.evaluation.intervals import Interval, bootstrap, wilson
from edgecnn.evaluation.metrics import Counts, Metrics, count, summarise, truth_ranks
from edgecnn.evaluation.predict import Frame, Predict, predict_all
from edgecnn.evaluation.slices import Looks, Slice, slices
from edgecnn_runtime.errors import CheckFailedError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Through = Callable[[Iterable[Frame]], Iterable[Frame]]  # a progress bar, for one

MISTAKES = 24
DENSE = 100  # classes up to which the confusion matrix is written as one
DRAWN = 1000  # classes up to which the result holds the curves of each
WIDE = 0.05  # an interval of top-1 that leaves much open
FEW = 10  # images of a class


@dataclass(frozen=True)
class Mistake:
    """An image that was answered wrongly.

    Attributes:
        index: in the split; `file` is its name there, or empty.
        p: probability of the answer; `p_truth` of the true class.
    """

    index: int
    file: str
    truth: str
    called: str
    p: float
    p_truth: float


@dataclass(frozen=True)
class Confused:
    """So many images of one class that were called another."""

    truth: int
    called: int
    images: int


@dataclass(frozen=True)
class Judgement:
    """Figures, curves and mistakes.

    Attributes:
        intervals: of 95%, of each figure of `metrics`; None where resampling tells nothing.
        ap: (classes,) average precision; NaN for a class without images.
        curves: (classes, len(RECALLS)) precision at each recall; NaN likewise.
        confused: pairs of classes, the most confused first.
        mistakes: the most certain first.
    """

    labels: tuple[str, ...]
    metrics: Metrics
    intervals: dict[str, Interval | None]
    counts: Counts
    ap: Floats
    curves: Floats
    topk: TopK
    calibration: Calibration
    confused: tuple[Confused, ...]
    mistakes: tuple[Mistake, ...]
    slices: tuple[Slice, ...]
    right: NDArray[np.bool_]

    @property
    def warnings(self) -> list[str]:
        """What the images are too few for."""
        said = []
        low, high = self.intervals["top1"] or (0.0, 1.0)
        if high - low > WIDE:
            more = max(2, round(((high - low) / WIDE) ** 2))
            said.append(
                f"{self.metrics.images} images are too few to tell top-1 closer than from {low:.3f}"
                f" to {high:.3f}; about {more} times as many would tell it to 2.5 points"
            )
        if few := int(np.sum(self.counts.images < FEW)):
            said.append(
                f"{few} of {len(self.labels)} classes have fewer than {FEW} images: read nothing"
                " into the figures of one of them"
            )
        return said

    def as_result(self) -> dict[str, Any]:
        """For `--json`."""
        classes = len(self.labels)
        precision, recall = self.topk.mean
        return {
            **asdict(self.metrics),
            "intervals": self.intervals,
            "calibration": asdict(self.calibration),
            "topk": {
                "k": list(range(1, len(precision) + 1)),
                "accuracy": self.topk.accuracy.tolist(),
                "precision": precision.tolist(),
                "recall": recall.tolist(),
            },
            "curve": {
                "recall": RECALLS.tolist(),
                "precision": np.nanmean(self.curves, 0).tolist(),
            },
            "classes": [self._class(c, curves=classes <= DRAWN) for c in range(classes)],
            "confusion": self.confusion().tolist() if classes <= DENSE else None,
            "confused": [
                {
                    "truth": self.labels[pair.truth],
                    "called": self.labels[pair.called],
                    "images": pair.images,
                }
                for pair in self.confused
            ],
            "slices": [asdict(s) for s in self.slices],
            "mistakes": [asdict(m) for m in self.mistakes],
            "warnings": self.warnings,
        }

    def confusion(self, chosen: Sequence[int] | None = None) -> Ints:
        """Rows are true classes, columns what they were called; all classes, or some of them."""
        picked = list(range(len(self.labels)) if chosen is None else chosen)
        place = {c: i for i, c in enumerate(picked)}
        matrix = np.diag(self.counts.tp[picked])
        for pair in self.confused:
            if pair.truth in place and pair.called in place:
                matrix[place[pair.truth], place[pair.called]] = pair.images
        return matrix

    def _class(self, c: int, *, curves: bool) -> dict[str, Any]:
        n = self.counts
        found: dict[str, Any] = {
            "label": self.labels[c],
            **{k: int(getattr(n, k)[c]) for k in ("images", "called", "tp", "fp", "fn", "tn")},
            **{
                k: float(getattr(n, k)[c])
                for k in ("precision", "recall", "specificity", "accuracy", "f1")
            },
            "recall_interval": wilson(int(n.tp[c]), int(n.images[c])),
            "ap": _number(self.ap[c]),
        }
        if curves and n.images[c]:
            found["curve"] = self.curves[c].tolist()
            found["topk"] = {
                "precision": self.topk.precision[c].tolist(),
                "recall": self.topk.recall[c].tolist(),
            }
        return found


def judge(
    predict: Predict,
    data: DataSet,
    *,
    sliced: Sequence[str] = (),
    mistakes: int = MISTAKES,
    through: Through = iter,
) -> Judgement:
    """Ask a classifier about all held-out images and judge its answers.

    Args:
        sliced: what `slices` takes.
        mistakes: how many are told.
        through: what the frames pass on their way, to count them.

    Raises:
        CheckFailedError: answers that are no numbers.
    """
    looks, files = Looks(), file_names(data)
    frames = through(some_frames(data.val))
    if sliced:
        frames = looks.watch(frames)
    probabilities = predict_all(predict, frames)
    if broken := int(np.sum(~np.isfinite(probabilities).all(1))):
        raise CheckFailedError(
            f"{broken} of {len(probabilities)} answers are no numbers (NaN or infinite); expected"
            " probabilities: edgecnn verify --layers finds the first layer that overflows"
        )
    found = judge_answers(probabilities, data.val.targets, data.labels, files, mistakes)
    return replace(found, slices=tuple(slices(sliced, looks, files, found.right)))


def judge_answers(
    probabilities: NDArray[np.float32],
    targets: Ints,
    labels: tuple[str, ...],
    files: Sequence[str] = (),
    mistakes: int = MISTAKES,
) -> Judgement:
    """Judge answers, float32 (N, classes), without asking for them."""
    called, classes = probabilities.argmax(1), len(labels)
    ranks = truth_ranks(probabilities, targets)
    ap, curves = np.full(classes, np.nan), np.full((classes, len(RECALLS)), np.nan)
    for c, curve in class_curves(probabilities, targets):
        ap[c], curves[c] = average_precision(curve), at_recalls(curve)
    counts = count(called, targets, classes)
    return Judgement(
        labels=labels,
        metrics=summarise(counts, ranks, ap),
        intervals=bootstrap(probabilities, targets, ranks),
        counts=counts,
        ap=ap,
        curves=curves,
        topk=top_k(probabilities, targets),
        calibration=calibrate(probabilities, targets),
        confused=_confused(called, targets, classes),
        mistakes=_mistakes(probabilities, targets, labels, files, mistakes),
        slices=(),
        right=called == targets,
    )


def file_names(data: DataSet) -> tuple[str, ...]:
    """The files of the held-out images, as the folder has them; none where there are no files."""
    names = data.record.get("val")  # of a data set that its authors split it is their number
    return tuple(names) if isinstance(names, list | tuple) else ()


def _confused(called: Ints, targets: Ints, classes: int) -> tuple[Confused, ...]:
    wrong = called != targets
    pairs, images = np.unique(targets[wrong] * classes + called[wrong], return_counts=True)
    order = np.argsort(-images, kind="stable")
    return tuple(
        Confused(int(pairs[i] // classes), int(pairs[i] % classes), int(images[i])) for i in order
    )


def _mistakes(
    probabilities: NDArray[np.float32],
    targets: Ints,
    labels: tuple[str, ...],
    files: Sequence[str],
    most: int,
) -> tuple[Mistake, ...]:
    called = probabilities.argmax(1)
    wrong = np.flatnonzero(called != targets)
    certain = probabilities[wrong, called[wrong]]
    return tuple(
        Mistake(
            index=int(i),
            file=files[i] if files else "",
            truth=labels[targets[i]],
            called=labels[called[i]],
            p=float(probabilities[i, called[i]]),
            p_truth=float(probabilities[i, targets[i]]),
        )
        for i in wrong[np.argsort(-certain, kind="stable")][:most]
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
