"""Which layers cost accuracy in INT8."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from edgecnn_export.calibration import Ranges
from edgecnn_export.held_out import HeldOut
from edgecnn_export.precisions import LayerCost
from edgecnn_export.quantize import layers, quantize

IMAGES = 256


def sensitivity(
    graph: onnx.ModelProto,
    ranges: Ranges,
    precision: str,
    held_out: HeldOut,
    step: Callable[[], None] = lambda: None,
) -> list[LayerCost]:
    """Quantise each layer alone and judge the answers.

    Args:
        graph: FP32 graph.
        ranges: of the tensors that the precision needs.
        held_out: of which up to 256 images are used.
        step: called after each layer.

    Returns:
        In the order in which the layers run.
    """
    some = held_out.some(IMAGES)
    before = some.judge_answers(some.reference)
    names = [layer.name for layer in layers(graph)]
    costs = []
    for name in names:
        alone = quantize(graph, ranges, precision, keep=[n for n in names if n != name])
        found = some.judge(alone, precision)
        points = round(found.points_below(before), 4)
        costs.append(LayerCost(name, found.divergence, points))
        step()
    return costs


def worst_first(costs: list[LayerCost]) -> list[LayerCost]:
    return sorted(costs, key=lambda cost: cost.divergence, reverse=True)
