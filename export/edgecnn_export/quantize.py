"""INT8: explicit QuantizeLinear and DequantizeLinear nodes, written by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxscript import ir

from edgecnn_export.calibration import Ranges
from edgecnn_export.graph_file import check

OPERATORS = ("Conv", "Gemm")
ACTIVATIONS = ("Relu", "Clip")


class Kind(NamedTuple):
    """What a precision of eight bits looks like.

    Attributes:
        signed: values from -127 to 127 around a zero point of 0, or from 0 to 255 around any.
        operators: whose inputs are rounded; of a convolution's activation the output too.
        reduce_range: weights of 7 bits.
        bias: rounded to 32 bits, which CPUs want and TensorRT refuses.
        options: of ONNX Runtime's quantiser.
    """

    signed: bool
    operators: tuple[str, ...]
    reduce_range: bool
    bias: bool
    options: dict[str, object]

    @property
    def levels(self) -> int:
        """Steps that a positive range is divided into."""
        return 127 if self.signed else 255


# TensorRT fuses a convolution with what follows and rounds where the next one reads: an output is
# rounded once, behind its activation, and each reader has a pair of nodes of its own. On a CPU a
# convolution is computed in integers only where its own output is rounded, and ReLU is a cut at the
# zero point. The last layer's output, the logits, stays in FP32 in both.
KINDS = {
    "int8": Kind(
        signed=True,
        operators=OPERATORS,
        reduce_range=False,
        bias=False,
        options={"DedicatedQDQPair": True, "OpTypesToExcludeOutputQuantization": list(OPERATORS)},
    ),
    "int8-cpu": Kind(
        signed=False,
        operators=OPERATORS + ACTIVATIONS,
        reduce_range=True,
        bias=True,
        options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
    ),
}


@dataclass(frozen=True)
class Layer:
    """A node that can be computed in INT8, and the tensors whose range that needs."""

    name: str
    input: str
    outputs: tuple[str, ...]  # its own, and its activation's
    weights: tuple[int, ...]  # shape


def layers(graph: onnx.ModelProto) -> list[Layer]:
    """Convolutions and linear layers with constant weights, in the order in which they run."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.graph.node:
        if node.op_type in OPERATORS and node.input[1] in shapes:
            out = node.output[0]
            activations = [n.output[0] for n in readers.get(out, ()) if n.op_type in ACTIVATIONS]
            layer = Layer(node.name, node.input[0], (out, *activations), shapes[node.input[1]])
            found.append(layer)
    return found


def tensors(found: Collection[Layer], precision: str) -> tuple[str, ...]:
    """Names of the tensors whose ranges a precision needs."""
    names = [layer.input for layer in found]
    if not KINDS[precision].signed:
        names += [name for layer in found for name in layer.outputs]
    return tuple(dict.fromkeys(names))


def quantize(
    graph: onnx.ModelProto, ranges: Ranges, precision: str = "int8", keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Round weights and inputs of convolutions and linear layers to eight bits.

    Weights are symmetric and have a scale per output channel.

    Args:
        graph: FP32 graph of `to_onnx`.
        ranges: of each of `tensors`.
        precision: one of `KINDS`.
        keep: names of layers that stay in FP32.

    Returns:
        Another graph, with the names and the metadata of the first.
    """
    kind = KINDS[precision]
    chosen = {layer.name for layer in layers(graph)} - set(keep)
    weighted = [node.name for node in graph.graph.node if node.op_type in OPERATORS]
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=kind.reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if kind.signed else QuantType.QUInt8,
        tensors_range=_as_ort(ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=[name for name in weighted if name not in chosen],
        op_types_to_quantize=list(kind.operators),
        extra_options={
            **kind.options,
            "ActivationSymmetric": kind.signed,
            "WeightSymmetric": True,
            "QuantizeBias": kind.bias,
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    made: onnx.ModelProto = quantizer.model.model
    made.producer_name = graph.producer_name
    del made.metadata_props[:]
    made.metadata_props.extend(graph.metadata_props)
    check(ir.from_proto(made))
    return made


def _as_ort(ranges: Ranges) -> TensorsData:
    ends = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    return TensorsData(CalibrationMethod.MinMax, ends)
