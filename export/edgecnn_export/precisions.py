"""From the FP32 graph to the same graph in another precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecnn_export.half import to_half, too_large, undefined
from edgecnn_export.sessions import value_ranges
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]
T = TypeVar("T")

INT8 = ("int8", "int8-cpu")
PRECISIONS = ("fp32", "fp16", "bf16", *INT8)
RANGE_IMAGES, RANGE_BATCH = 64, 4


@dataclass(frozen=True)
class Calibration:
    """How the ranges of INT8 were found.

    Attributes:
        method: the one that was best.
        source: where the images are from.
    """

    method: str
    images: int
    source: str


@dataclass(frozen=True)
class LayerCost:
    """What it costs to compute one layer in INT8 and all others in FP32.

    Attributes:
        divergence: mean KL divergence of the probabilities from FP32's, in nats; it tells layers
            apart that change no decision.
        top1_points: percentage points of top-1 lost; of images without labels, of agreement.
    """

    layer: str
    divergence: float
    top1_points: float


@dataclass(frozen=True)
class Made:
    """A graph in a precision.

    Attributes:
        kept: nodes that stay in FP32, since the precision has not their values or operators.
        calibration: of INT8.
        sensitivity: what each layer costs in INT8, where that was looked at.
    """

    graph: onnx.ModelProto
    kept: tuple[str, ...] = ()
    calibration: Calibration | None = None
    sensitivity: tuple[LayerCost, ...] = ()


def parse_precisions(text: str) -> tuple[str, ...]:
    """`fp32,fp16` -> the precisions, each once.

    Raises:
        InputError: none, or one that there is not.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PRECISIONS:
            raise unknown_name("precision", name, PRECISIONS)
    if not names:
        raise InputError(f"--precision {text!r}; expected a list such as fp32,fp16")
    return tuple(dict.fromkeys(names))


def convert(precision: str, graph: onnx.ModelProto, spec: Input, frames: Sequence[Frame]) -> Made:
    """Convert an FP32 graph of `to_onnx` to a precision of floats; INT8 is made by `int8`.

    Args:
        frames: raw BGR frames, on which the values between the nodes are measured.
    """
    if precision == "fp32":
        return Made(graph)
    if precision == "bf16":  # it reaches as far as FP32
        return Made(to_half(graph, "bf16"), undefined(graph, "bf16"))
    inputs = [preprocess(frame, spec) for frame in spread(frames, RANGE_IMAGES)]
    batches = (np.stack(inputs[i : i + RANGE_BATCH]) for i in range(0, len(inputs), RANGE_BATCH))
    unfit = {*too_large(graph, value_ranges(graph, batches)), *undefined(graph, "fp16")}
    kept = tuple(node.name for node in graph.graph.node if node.name in unfit)
    return Made(to_half(graph, keep=kept), kept)


def spread(items: Sequence[T], count: int) -> list[T]:
    """So many items, evenly from all of them."""
    chosen = min(count, len(items))
    return [items[i * len(items) // chosen] for i in range(chosen)]
