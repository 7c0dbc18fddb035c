"""How far two sets of answers are apart, and how far they may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Answers = NDArray[np.float32]  # (N, classes)


class Limits(NamedTuple):
    """What a precision may change.

    Attributes:
        share: of a frame's largest probability, that any of its probabilities may be off by.
        top1: share of the frames on which both must decide alike.
        tie: classes whose probabilities differ by less than this share count as equal.
    """

    share: float
    top1: float
    tie: float


# A share of the largest: an untrained network of 1,000 classes answers with 0.001 everywhere.
# fmt: off
LIMITS = {
    #                share top1   tie
    "fp32":   Limits(1e-4, 1.0,   1e-4),
    "fp16":   Limits(0.05, 0.99,  0.01),
    "bf16":   Limits(0.5,  0.95,  0.1),
}
# fmt: on
ONE_LEVEL = LIMITS["fp16"]  # a graph's own preprocessing may be off by one level of a pixel
EQUAL = 0.999  # share of a picture's values, FP32 against FP32


@dataclass(frozen=True)
class Agreement:
    """How far two sets of answers are apart.

    Attributes:
        max_abs: largest difference of a probability; infinite where one is not a number.
        max_share: the same as a share of the largest probability of its frame.
        top1_agreement: share of frames on which both decide alike; classes that the reference
            holds equal within the limits count as alike.
    """

    max_abs: float
    max_share: float
    top1_agreement: float
    frames: int
    limits: Limits = LIMITS["fp32"]

    @property
    def holds(self) -> bool:
        return self.max_share <= self.limits.share and self.top1_agreement >= self.limits.top1

    def __str__(self) -> str:
        return (
            f"they differ by {self.max_abs:.2e}, {self.max_share:.2e} of the answer (limit"
            f" {self.limits.share:.0e}), top-1 agreement {self.top1_agreement:.4f} (limit"
            f" {self.limits.top1:g}) on {self.frames} frames"
        )


def limits_of(precision: str, *, takes_frames: bool = False) -> Limits:
    """What a precision may change, and where the graph preprocesses frames, a level of 255 too."""
    limits = LIMITS.get(precision, LIMITS["fp32"])  # a stranger's bundle may name anything
    if not takes_frames:
        return limits
    return Limits(
        max(limits.share, ONE_LEVEL.share),
        min(limits.top1, ONE_LEVEL.top1),
        max(limits.tie, ONE_LEVEL.tie),
    )


def compare(
    reference: Answers, answers: Answers, precision: str = "fp32", *, takes_frames: bool = False
) -> Agreement:
    """Compare two sets of probabilities, (N, classes) each.

    Args:
        precision: of `answers`; the reference is FP32.
        takes_frames: whether `answers` are of a graph that preprocesses frames itself.
    """
    limits = limits_of(precision, takes_frames=takes_frames)
    if reference.shape != answers.shape or not np.isfinite(answers).all():
        return Agreement(float("inf"), float("inf"), 0.0, len(reference), limits)
    apart, largest = np.abs(reference - answers).max(1), reference.max(1)
    chosen = np.take_along_axis(reference, answers.argmax(1)[:, None], 1)[:, 0]
    alike = chosen >= largest * (1 - limits.tie)
    return Agreement(
        float(apart.max()),
        float((apart / largest).max()),
        float(alike.mean()),
        len(reference),
        limits,
    )


@dataclass(frozen=True)
class PictureAgreement:
    """How far two sets of pictures are apart.

    Attributes:
        levels: largest difference, of 255; infinite where a size differs.
        equal: share of the values that are equal.
    """

    levels: float
    equal: float
    frames: int

    @property
    def holds(self) -> bool:
        """Only values that lie between two levels may fall to either side."""
        return self.levels <= 1 and self.equal >= EQUAL

    def __str__(self) -> str:
        return (
            f"they differ by {self.levels:g} of 255 levels (limit 1), and {self.equal:.4%} of the"
            f" values are equal (limit {EQUAL:.1%}) on {self.frames} frames"
        )


def compare_pictures(reference: Sequence[Frame], pictures: Sequence[Frame]) -> PictureAgreement:
    """Compare two sets of pictures, each of its own size."""
    levels, equal, values = 0.0, 0, 0
    for wanted, got in zip(reference, pictures, strict=True):
        if wanted.shape != got.shape:
            return PictureAgreement(float("inf"), 0.0, len(reference))
        apart = np.abs(wanted.astype(np.int16) - got)
        levels = max(levels, float(apart.max()))
        equal, values = equal + int((apart == 0).sum()), values + apart.size
    return PictureAgreement(levels, equal / values, len(reference))
