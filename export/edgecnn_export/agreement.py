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
        share: of a frame's largest probability, that any of its probabilities may be off by;
            infinite where only decisions count.
        top1: share of the frames on which both must decide alike.
        tie: classes whose probabilities differ by less than this share count as equal.
    """

    share: float
    top1: float
    tie: float


# A share of the largest: an untrained network of 1,000 classes answers with 0.001 everywhere.
# fmt: off
LIMITS = {
    #                    share top1   tie
    "fp32":       Limits(1e-4, 1.0,   1e-4),
    "fp16":       Limits(0.05, 0.99,  0.01),
    "bf16":       Limits(0.5,  0.95,  0.1),
    # What INT8 may cost is points of top-1, where labels are known; this refuses what is broken.
    "int8":       Limits(np.inf, 0.9, 0.2),
    "int8-cpu":   Limits(np.inf, 0.9, 0.2),
}
# fmt: on
ONE_LEVEL = LIMITS["fp16"]  # a graph's own preprocessing may be off by one level of a pixel
EQUAL = 0.999  # share of a picture's values, FP32 against FP32
FLOOR = 1e-7  # probabilities below are noise of the softmax, and their logarithms too


@dataclass(frozen=True)
class Agreement:
    """How far two sets of answers are apart.

    Attributes:
        max_abs: largest difference of a probability; infinite where one is not a number.
        max_share: the same as a share of the largest probability of its frame.
        top1_agreement: share of frames on which both decide alike; classes that the reference
            holds equal within the limits count as alike.
        max_logit_share: largest difference of a logit as a share of the largest of its frame; of
            the logarithms of probabilities where there are no logits.
        on_logits: whether it is of logits, which then are held to the limit of `share` too.
        worst_frame: index of the frame on which they are furthest apart.
        broken: what makes any comparison idle: NaN, or another number of classes.
    """

    max_abs: float
    max_share: float
    top1_agreement: float
    frames: int
    limits: Limits = LIMITS["fp32"]
    max_logit_share: float = 0.0
    on_logits: bool = False
    worst_frame: int = 0
    broken: str = ""

    @property
    def holds(self) -> bool:
        return not self.reason

    @property
    def reason(self) -> str:
        """Why it does not hold, in a few words; nothing where it does."""
        limits, worst = self.limits, f"on frame {self.worst_frame}"
        if self.broken:
            return self.broken
        if self.top1_agreement < limits.top1:
            return f"top-1 agreement is {self.top1_agreement:.4f}, expected {limits.top1:g}"
        if self.max_share > limits.share:
            return f"{worst} by {self.max_share:.1e} of the answer, expected {limits.share:.0e}"
        if self.on_logits and self.max_logit_share > limits.share:
            return (
                f"{worst} by {self.max_logit_share:.1e} of the largest logit, expected"
                f" {limits.share:.0e}"
            )
        return ""

    def __str__(self) -> str:
        if self.broken:
            return self.broken
        limit = f" (limit {self.limits.share:.0e})" if np.isfinite(self.limits.share) else ""
        return (
            f"they differ by {self.max_abs:.2e}, {self.max_share:.2e} of the answer{limit}, top-1"
            f" agreement {self.top1_agreement:.4f} (limit {self.limits.top1:g}) on {self.frames}"
            f" frames, the worst is {self.worst_frame}"
        )


def looser(one: str, other: str) -> str:
    """Of two precisions the one that may change more: two artifacts are held to it."""
    return max(one, other, key=lambda name: LIMITS.get(name, LIMITS["fp32"]).share)


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
    reference: Answers,
    answers: Answers,
    precision: str = "fp32",
    logits: tuple[Answers, Answers] | None = None,
    *,
    takes_frames: bool = False,
) -> Agreement:
    """Compare two sets of probabilities, (N, classes) each.

    Args:
        precision: of `answers`; the reference is FP32.
        logits: of the reference and of the answers, where both have them.
        takes_frames: whether `answers` are of a graph that preprocesses frames itself.
    """
    limits = limits_of(precision, takes_frames=takes_frames)
    broken = _broken(reference, answers)
    if broken:
        text, frame = broken
        inf = float("inf")
        return Agreement(inf, inf, 0.0, len(reference), limits, inf, False, frame, text)
    apart, largest = np.abs(reference - answers).max(1), reference.max(1)
    share = apart / np.maximum(largest, FLOOR)
    chosen = np.take_along_axis(reference, answers.argmax(1)[:, None], 1)[:, 0]
    alike = chosen >= largest * (1 - limits.tie)
    logit_share = _logits_apart(*(logits or (_log(reference), _log(answers))))
    worst = logit_share if logits and logit_share.max() > share.max() else share
    return Agreement(
        float(apart.max()),
        float(share.max()),
        float(alike.mean()),
        len(reference),
        limits,
        float(logit_share.max()),
        logits is not None,
        int(worst.argmax()),
    )


def divergence(reference: Answers, answers: Answers) -> float:
    """Mean Kullback-Leibler divergence of probabilities from a reference's, in nats.

    Args:
        reference, answers: (N, classes) each; the result is infinite where one is not a number.
    """
    if not np.isfinite(answers).all():
        return float("inf")
    least = np.finfo(np.float32).tiny
    p, q = (np.maximum(a.astype(np.float64), least) for a in (reference, answers))
    return float((p * np.log(p / q)).sum(1).mean())


def _broken(reference: Answers, answers: Answers) -> tuple[str, int] | None:
    """What makes a comparison idle, and the frame that shows it."""
    if reference.shape != answers.shape:
        wanted, got = ("x".join(str(n) for n in rows.shape) for rows in (reference, answers))
        return f"it answers with {got} numbers, expected {wanted}: frames by classes", 0
    for who, rows in (("the reference", reference), ("it", answers)):
        frames = np.flatnonzero(~np.isfinite(rows).all(1))
        if frames.size:
            return f"{who} answers frame {frames[0]} with NaN or infinity", int(frames[0])
    return None


def _logits_apart(reference: Answers, answers: Answers) -> Answers:
    """Of each frame, the largest difference as a share of the largest logit: (N,)."""
    with np.errstate(invalid="ignore"):  # a class that both rule out, with minus infinity
        apart = np.where(reference == answers, 0, np.abs(reference - answers)).max(1)
    largest = np.where(np.isfinite(reference), np.abs(reference), 0).max(1)
    share: Answers = np.where(np.isfinite(apart), apart / np.maximum(largest, FLOOR), np.inf)
    return share


def _log(probabilities: Answers) -> Answers:
    logs: Answers = np.log(np.maximum(probabilities, FLOOR))
    return logs


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
