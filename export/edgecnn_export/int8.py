"""To INT8 and within a limit: calibrate, fine-tune if asked, keep the worst layers in FP32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecnn_export.calibration import AUTO, METHODS, Ranges, Values, collect, ranges
from edgecnn_export.held_out import HeldOut, Judgement
from edgecnn_export.precisions import Calibration, LayerCost, Made
from edgecnn_export.quantize import KINDS, layers, quantize, tensors
from edgecnn_export.sensitivity import sensitivity, worst_first
from edgecnn_runtime.errors import CheckFailedError, InputError, unknown_name
from edgecnn_runtime.latency.report import progress

MAX_DROP = 0.5  # percentage points of top-1
MOST_KEPT = 0.5  # share of the layers; with more of them in FP32 it is no INT8 any more


@dataclass(frozen=True)
class Int8Options:
    """How INT8 is made.

    Attributes:
        calibration: a method, or `auto` for the one that is best on held-out images.
        images: to calibrate with.
        max_drop: percentage points of top-1 that may be lost on held-out images; None for 0.5 where
            their labels are known, and no limit elsewhere.
        qat_epochs: of fine-tuning with quantisation in the loop, where more is lost; 0 for none.
        sensitivity: find out what each layer costs, in the first precision of eight bits, whether
            or not the limit is kept.
    """

    calibration: str = AUTO
    images: int = 500
    max_drop: float | None = None
    qat_epochs: int = 0
    sensitivity: bool = False

    def __post_init__(self) -> None:
        if self.calibration not in (AUTO, *METHODS):
            raise unknown_name("calibration", self.calibration, (AUTO, *METHODS))
        if self.images < 1:
            raise InputError(f"{self.images} calibration images; expected at least 1")
        if self.max_drop is not None and not self.max_drop >= 0:
            raise InputError(f"a drop of {self.max_drop} points; expected 0 or more")

    @property
    def allowed(self) -> float:
        """Percentage points of top-1 that may be lost where it can be measured."""
        return MAX_DROP if self.max_drop is None else self.max_drop

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(METHODS) if self.calibration == AUTO else (self.calibration,)


DEFAULT = Int8Options()


@dataclass(frozen=True)
class Material:
    """What INT8 is made with.

    Attributes:
        inputs: images to calibrate with, uint8 (N, H, W, C) as the graph takes them.
        source: where they are from.
    """

    inputs: NDArray[np.uint8]
    source: str
    held_out: HeldOut


class Tuned(NamedTuple):
    """A fine-tuned network.

    Attributes:
        graph: in FP32.
        ranges: that were learned, of the tensors that each layer reads.
    """

    graph: onnx.ModelProto
    ranges: Ranges


Tune = Callable[[Ranges], Tuned]  # from calibrated ranges


@dataclass(frozen=True)
class _Candidate:
    """A graph in INT8, what it was made from, and how good it is."""

    graph: onnx.ModelProto
    base: onnx.ModelProto
    ranges: Ranges
    method: str
    judgement: Judgement
    kept: tuple[str, ...] = ()


class Int8:
    """Makes graphs of eight bits from one FP32 graph; the images are looked at once for all.

    Args:
        precisions: that will be made.
        tune: quantisation-aware fine-tuning, where it was asked for.

    Raises:
        InputError: there is nothing to quantise, or a limit and no labels to measure it with.
    """

    def __init__(
        self,
        graph: onnx.ModelProto,
        material: Material,
        precisions: Sequence[str],
        options: Int8Options = DEFAULT,
        tune: Tune | None = None,
    ) -> None:
        self.graph, self.material, self.options = graph, material, options
        self.precisions, self.tune = precisions, tune
        self.held_out = material.held_out
        self.before = self.held_out.judge_answers(self.held_out.reference)
        labelled = self.held_out.targets is not None
        if options.max_drop is not None and not labelled:
            raise InputError(
                "--max-drop counts points of top-1, and no held-out images with the model's labels"
                " are known; name them with --data"
            )
        self.limit = options.allowed if labelled else None
        if not layers(graph):
            raise InputError("this model has no convolution or linear layer to compute in INT8")

    def make(self, precision: str) -> Made:
        """The graph in a precision, within the limit.

        Raises:
            CheckFailedError: more accuracy is lost than may be.
        """
        best = self._calibrate(self.graph, self._values, precision)
        if self._loses(best) and self.tune:
            best = min(best, self._tuned(precision), key=self._cost)
        costs: list[LayerCost] = []
        asked = self.options.sensitivity and precision == self.precisions[0]
        if asked or self._loses(best):
            costs = self._layer_costs(best, precision)
        if self._loses(best):
            best = self._keep_layers(best, precision, costs)
        calibration = Calibration(best.method, len(self.material.inputs), self.material.source)
        return Made(best.graph, best.kept, calibration, tuple(costs))

    @cached_property
    def _values(self) -> dict[str, Values]:
        return self._collect(self.graph)

    def _collect(self, graph: onnx.ModelProto) -> dict[str, Values]:
        found = layers(graph)
        names = {name for precision in self.precisions for name in tensors(found, precision)}
        with progress("calibrating", len(self.material.inputs)) as step:
            return collect(graph, names, self.material.inputs, step)

    def _calibrate(
        self, graph: onnx.ModelProto, values: dict[str, Values], precision: str
    ) -> _Candidate:
        """The best of the methods on the held-out images."""
        levels = KINDS[precision].levels
        candidates = []
        with progress(f"judging {precision}", len(self.options.methods)) as step:
            for method in self.options.methods:
                found = ranges(values, method, levels)
                candidates.append(self._candidate(graph, found, precision, method))
                step()
        return min(candidates, key=self._cost)

    def _candidate(
        self,
        base: onnx.ModelProto,
        found: Ranges,
        precision: str,
        method: str,
        kept: tuple[str, ...] = (),
    ) -> _Candidate:
        graph = quantize(base, found, precision, keep=kept)
        judgement = self.held_out.judge(graph, precision)
        return _Candidate(graph, base, found, method, judgement, kept)

    def _cost(self, candidate: _Candidate) -> tuple[float, float]:
        return candidate.judgement.cost(self.before)

    def _loses(self, candidate: _Candidate) -> bool:
        if self.limit is None:
            return False
        return candidate.judgement.points_below(self.before) > self.limit + 1e-9

    @cached_property
    def _tuning(self) -> tuple[Tuned, dict[str, Values]]:
        """The fine-tuned network, and what its tensors hold; made once for all precisions."""
        assert self.tune is not None
        start = self._calibrate(self.graph, self._values, "int8").ranges
        tuned = self.tune(start)
        return tuned, self._collect(tuned.graph)

    def _tuned(self, precision: str) -> _Candidate:
        tuned, values = self._tuning
        found = self._calibrate(tuned.graph, values, precision)
        if KINDS[precision].signed:  # the ranges were learned for these levels
            learned = {**found.ranges, **tuned.ranges}
            other = self._candidate(tuned.graph, learned, precision, "learned")
            found = min(found, other, key=self._cost)
        return replace(found, method=f"fine-tuned, {found.method}")

    def _layer_costs(self, candidate: _Candidate, precision: str) -> list[LayerCost]:
        with progress(f"layers of {precision}", len(layers(candidate.base))) as step:
            return sensitivity(candidate.base, candidate.ranges, precision, self.held_out, step)

    def _keep_layers(
        self, candidate: _Candidate, precision: str, costs: list[LayerCost]
    ) -> _Candidate:
        """Keep layers in FP32, the most expensive first, until the drop fits."""
        most = int(MOST_KEPT * len(costs))
        order = [cost.layer for cost in worst_first(costs)][:most]
        with progress(f"keeping layers of {precision}", most) as step:
            for count in range(1, most + 1):
                kept = tuple(cost.layer for cost in costs if cost.layer in order[:count])
                method = candidate.method
                found = self._candidate(candidate.base, candidate.ranges, precision, method, kept)
                if not self._loses(found):
                    return found
                step()
        lost = candidate.judgement.points_below(self.before)
        advice = "allow more with --max-drop" if self.tune else "try --qat-epochs 5 on a run"
        raise CheckFailedError(
            f"{precision} loses {lost:.1f} points of top-1 on the held-out images, and more than"
            f" {self.limit:g} with half of its layers in FP32; {advice}, or stay with fp32 or fp16"
        )
