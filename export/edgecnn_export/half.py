"""FP16 and BF16: graphs whose types say what is computed in half precision, on every engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
from onnxscript import ir
from onnxscript.ir.passes import common

from edgecnn_export.graph_file import check, convert_opset
from edgecnn_export.names import rename
from edgecnn_export.simplify import add_constant, remove_unused

Half = Literal["fp16", "bf16"]

LARGEST = 65504.0  # of a number in FP16; BF16 reaches as far as FP32
MARGIN = 2  # an image that nobody has seen may excite a unit more than those that were tried
FULL = ir.DataType.FLOAT
HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
NUMPY = {"fp16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
TYPES = {"fp16": "tensor(float16)", "bf16": "tensor(bfloat16)"}
BF16_OPSET = 22  # the first whose convolutions take it
NOT_IN_BF16 = ("ConvTranspose", "LpPool", "Mish")  # in TensorRT, though ONNX has them
# A sum of exponentials in half precision gains nothing at the end of a network. What stands
# between the frames and the network counts in grey levels, and is fused into one kernel anyway.
IN_FULL = (
    "Softmax", "LogSoftmax", "ReduceLogSumExp", "TopK", "QuantizeLinear", "DequantizeLinear", "If",
    "Loop",
)  # fmt: skip
BEFORE_THE_NETWORK = ("Cast", "Transpose", "Mul", "Add", "Sub")
FULL_INPUTS = {"Resize": (1, 2)}  # of operators whose other inputs may be half


def to_half(
    graph: onnx.ModelProto, precision: Half = "fp16", keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Convert a graph; frames, normalisation, softmax and outputs stay as they are.

    Args:
        graph: FP32 graph of `to_onnx`.
        keep: names of nodes that stay in FP32, since their values do not fit.

    Returns:
        Another graph: a cast stands where a value changes between FP32 and half.
    """
    keep = {*keep, *undefined(graph, precision)}
    if precision == "bf16":
        graph = convert_opset(graph, BF16_OPSET)
    model = ir.from_proto(graph)
    if precision == "bf16":
        _part_hard_swish(model.graph)
    common.ShapeInferencePass()(model)
    _Conversion(model.graph, precision).run(keep)
    check(model)
    return ir.to_proto(model)


def undefined(graph: onnx.ModelProto, precision: Half) -> tuple[str, ...]:
    """Nodes whose operator ONNX or TensorRT does not have in a precision, in their order."""
    opset = next(o.version for o in graph.opset_import if o.domain in ("", "ai.onnx"))
    if precision == "bf16":
        opset = BF16_OPSET
    return tuple(node.name for node in graph.graph.node if not _exists(node, opset, precision))


def _exists(node: onnx.NodeProto, opset: int, precision: Half) -> bool:
    if node.op_type in IN_FULL:  # which no precision changes
        return True
    if precision == "bf16" and node.op_type in NOT_IN_BF16:
        return False
    try:
        inputs = onnx.defs.get_schema(node.op_type, opset, node.domain).inputs
    except onnx.defs.SchemaError:  # an operator of somebody's own
        return False
    floats = [types for types in (i.types for i in inputs) if "tensor(float)" in types]
    return all(TYPES[precision] in types for types in floats[:1])


def _part_hard_swish(graph: ir.Graph) -> None:
    """hardswish(x) -> x · hardsigmoid(x), which TensorRT takes in BF16 too."""
    for node in list(graph):
        if node.op_type == "HardSwish":
            (x,), (out,), name = node.inputs, node.outputs, node.name
            gate = ir.node("HardSigmoid", [x], {"alpha": 1 / 6}, name=f"{name}/HardSigmoid")
            gate.outputs[0].name = f"{out.name}/HardSigmoid"
            product = ir.node("Mul", [x, gate.outputs[0]], name=name)
            ir.convenience.replace_nodes_and_values(
                graph, node, [node], [gate, product], [out], product.outputs
            )


def too_large(graph: onnx.ModelProto, ranges: Mapping[str, float]) -> tuple[str, ...]:
    """Nodes that FP16 would overflow: they give, take or hold a value that it does not reach.

    Args:
        graph: FP32 graph.
        ranges: largest |value| seen, by the name of the value.

    Returns:
        Names of nodes, in the order in which they run.
    """
    ranges = {**ranges, **_constant_ranges(graph.graph)}
    return tuple(
        node.name
        for node in graph.graph.node
        if any(ranges.get(name, 0) > LARGEST / MARGIN for name in (*node.input, *node.output))
    )


def _constant_ranges(graph: onnx.GraphProto) -> dict[str, float]:
    arrays = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    return {
        name: float(np.abs(array[np.isfinite(array)]).max(initial=0))
        for name, array in arrays.items()
    }


class _Conversion:
    def __init__(self, graph: ir.Graph, precision: Half) -> None:
        self.graph = graph
        self.dtype, self.numpy = HALVES[precision], NUMPY[precision]
        self.suffix = precision
        self.floats = {v for v in _values(graph) if v.dtype == FULL}
        self.casts: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def run(self, keep: set[str]) -> None:
        keep |= {node.name or "" for node in normalisation(self.graph)}
        nodes = list(self.graph)
        halves = {n for n in nodes if n.name not in keep and self._can_be_half(n)}
        for node in halves:
            for out in node.outputs:
                if out in self.floats:
                    out.dtype = self.dtype
        for node in nodes:
            for index, value in enumerate(node.inputs):
                if value is not None and value in self.floats:
                    fixed = index in FULL_INPUTS.get(node.op_type, ())
                    wanted = self.dtype if node in halves and not fixed else FULL
                    if value.dtype != wanted:
                        node.replace_input_with(index, self._as(value, wanted))
        for index, answer in enumerate(self.graph.outputs):
            if answer in self.floats and answer.dtype != FULL:
                self._restore_output(index, answer)
        remove_unused(self.graph)
        self._keep_names()

    def _can_be_half(self, node: ir.Node) -> bool:
        """Whether it computes floats from floats."""
        reads = any(value in self.floats for value in node.inputs if value is not None)
        return reads and node.outputs[0] in self.floats and node.op_type not in IN_FULL

    def _as(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """The same value in another type: a converted constant, or a cast."""
        if (value, dtype) not in self.casts:
            if value.is_initializer():
                self.casts[value, dtype] = self._constant(value)
            else:
                self.casts[value, dtype] = self._cast(value, dtype)
        return self.casts[value, dtype]

    def _constant(self, value: ir.Value) -> ir.Value:
        assert value.const_value is not None
        array = value.const_value.numpy().astype(self.numpy)
        tensor = ir.tensor(array, dtype=self.dtype)
        return add_constant(self.graph, f"{value.name}.{self.suffix}", tensor)

    def _keep_names(self) -> None:
        """A weight that is needed in half alone keeps the name that it had."""
        for name in list(self.graph.initializers):
            plain = name.removesuffix(f".{self.suffix}")
            if plain != name and plain not in self.graph.initializers:
                value = self.graph.initializers.pop(name)
                rename(value, plain)
                self.graph.initializers[plain] = value

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        suffix = "fp32" if dtype == FULL else self.suffix
        name = f"{value.name}.{suffix}"
        node = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{name}/Cast")
        out = node.outputs[0]
        out.name, out.dtype, out.shape = name, dtype, value.shape
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(producer, node)
        return out

    def _restore_output(self, index: int, value: ir.Value) -> None:
        """An output keeps its name and its type; others that read it go on reading half."""
        name = value.name
        value.name = f"{name}.{self.suffix}"
        out = self._as(value, FULL)
        out.name = name
        self.graph.outputs[index] = out


def normalisation(graph: ir.Graph) -> Iterator[ir.Node]:
    """The nodes between the frames and the network, in the order in which they run."""
    value = graph.inputs[0]
    while len(value.uses()) == 1:
        (reader,) = value.consumers()
        if reader.op_type not in BEFORE_THE_NETWORK:
            return
        yield reader
        value = reader.outputs[0]


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    yield from graph.inputs
    yield from graph.initializers.values()
    for node in graph:
        yield from node.outputs
