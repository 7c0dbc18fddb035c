"""The images that judge: neither trained on nor calibrated with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecnn_export.agreement import Answers, divergence
from edgecnn_export.sessions import run_all


class Judgement(NamedTuple):
    """How good a graph's answers are.

    Attributes:
        top1: share of the images that are called rightly; of images without labels, the share on
            which the graph decides as FP32 does.
        divergence: mean KL divergence of its probabilities from FP32's, in nats.
    """

    top1: float
    divergence: float

    def points_below(self, other: Judgement) -> float:
        """Percentage points of top-1 that it loses."""
        return 100 * (other.top1 - self.top1)

    def cost(self, other: Judgement) -> tuple[float, float]:
        """What it loses against another, to compare by: decisions first, then probabilities.

        A decision that rounding mends by chance is no merit.
        """
        return max(self.points_below(other), 0.0), self.divergence


@dataclass(frozen=True)
class HeldOut:
    """Images as a graph takes them, uint8 (N, H, W, C).

    Attributes:
        targets: (N,), the class of each; None where nobody knows it.
        reference: (N, classes), what the FP32 graph answers.
    """

    inputs: NDArray[np.uint8]
    targets: NDArray[np.int64] | None
    reference: Answers

    def judge(self, graph: onnx.ModelProto, precision: str) -> Judgement:
        """Run a graph on all of them."""
        return self.judge_answers(run_all(graph, self.inputs, precision))

    def judge_answers(self, answers: Answers) -> Judgement:
        """Judge probabilities, (N, classes)."""
        right = self.reference.argmax(1) if self.targets is None else self.targets
        top1 = float((answers.argmax(1) == right).mean())
        return Judgement(top1, divergence(self.reference, answers))

    def some(self, count: int) -> HeldOut:
        """So many of them, evenly from all."""
        chosen = np.arange(min(count, len(self.inputs))) * len(self.inputs) // count
        if len(self.inputs) <= count:
            return self
        targets = None if self.targets is None else self.targets[chosen]
        return HeldOut(self.inputs[chosen], targets, self.reference[chosen])
