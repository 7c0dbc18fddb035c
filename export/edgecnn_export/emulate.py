"""What an accelerator computes in half precision, shown on a machine that has none.

ONNX Runtime's CPU computes FP16 in FP32, so that nothing is rounded and nothing overflows, and BF16
not at all.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnxscript import ir

from edgecnn_export.graph_file import check
from edgecnn_export.simplify import add_constant, remove_unused

FULL = ir.DataType.FLOAT
HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def emulate_half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in FP32, with each value rounded as the half precision of its type rounds it.

    Weights and activations are halves and sums are FP32, as tensor cores have them: each operator
    rounds once, what it answers with. An engine that fuses operators rounds less often. Two casts
    stand for the rounding, which turns what FP16 does not reach into infinity.

    Args:
        graph: of `to_half`.
    """
    model = ir.from_proto(graph)
    for value in list(model.graph.initializers.values()):
        if value.dtype in HALVES:
            _widen_constant(model.graph, value)
    for node in list(model.graph):
        for out in node.outputs:
            if out.dtype in HALVES:
                _round(model.graph, node, out)
    remove_unused(model.graph)
    check(model)
    return ir.to_proto(model)


def _widen_constant(graph: ir.Graph, value: ir.Value) -> None:
    assert value.const_value is not None
    wide = ir.tensor(value.const_value.numpy().astype(np.float32))
    value.replace_all_uses_with(add_constant(graph, f"{value.name}.wide", wide))


def _round(graph: ir.Graph, node: ir.Node, out: ir.Value) -> None:
    """Let a node give FP32, and its readers read that rounded; of a cast the first one is there."""
    readers = tuple(out.uses())
    half, last = out, node
    if node.op_type != "Cast":
        last = _cast(out, out.dtype, "half")
        half = last.outputs[0]
        out.dtype = FULL
        graph.insert_after(node, last)
    wide = _cast(half, FULL, "wide")
    graph.insert_after(last, wide)
    for reader, index in readers:
        reader.replace_input_with(index, wide.outputs[0])


def _cast(value: ir.Value, dtype: ir.DataType | None, suffix: str) -> ir.Node:
    assert dtype is not None
    name = f"{value.name}.{suffix}"
    cast = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{name}/Cast")
    out = cast.outputs[0]
    out.name, out.dtype, out.shape = name, dtype, value.shape
    return cast
