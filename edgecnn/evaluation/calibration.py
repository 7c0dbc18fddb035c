"""Whether a probability of 0.9 is right nine times in ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Images whose answer had a probability above `low` and up to `high`.

    Attributes:
        confidence: mean probability of their answers; None without images.
        accuracy: share of them that were right; None without images.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from what they promise.

    Attributes:
        ece: expected calibration error: the mean distance of confidence and accuracy over the bins,
            each with the share of its images.
        mce: the largest of these distances.
        brier: mean squared distance of all probabilities from 1 for the true class and 0 for the
            others, from 0 to 2.
    """

    ece: float
    mce: float
    brier: float
    bins: tuple[Bin, ...]


def calibrate(
    probabilities: NDArray[np.float32], targets: NDArray[np.int64], bins: int = BINS
) -> Calibration:
    """Compare the probability of each answer with how often such answers are right.

    Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks.

    Args:
        probabilities: (N, classes).
        bins: of equal width.
    """
    rows = np.arange(len(targets))
    called = probabilities.argmax(1)
    confidence = probabilities[rows, called].astype(np.float64)
    right = (called == targets).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    where = np.searchsorted(edges[1:-1], confidence)  # an edge belongs to the bin below
    images = np.bincount(where, minlength=bins)
    promised = np.bincount(where, confidence, bins)
    kept = np.bincount(where, right, bins)
    apart = np.abs(promised - kept)
    return Calibration(
        ece=float(apart.sum() / len(targets)),
        mce=float(np.max(apart[images > 0] / images[images > 0])),
        brier=_brier(probabilities, targets),
        bins=tuple(
            Bin(
                low=float(edges[i]),
                high=float(edges[i + 1]),
                images=int(n),
                confidence=float(promised[i] / n) if n else None,
                accuracy=float(kept[i] / n) if n else None,
            )
            for i, n in enumerate(images)
        ),
    )


def _brier(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """(p - 1)² of the true class and p² of the others: all squares, and 1 - 2p of the true."""
    squares = np.einsum("nc,nc->", probabilities, probabilities, dtype=np.float64)
    own = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return float((squares + np.sum(1 - 2 * own)) / len(targets))
