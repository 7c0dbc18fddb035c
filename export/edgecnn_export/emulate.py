"""What an accelerator computes in half precision, shown on a machine that has none.

ONNX Runtime's CPU computes FP16 in FP32, so that nothing is rounded and what overflows or vanishes
on a GPU is right on a CPU; BF16 it does not compute at all.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxscript import ir
from onnxscript.ir.passes import common

from edgecnn_export.graph_file import check, write_graph
from edgecnn_export.simplify import add_constant, remove_unused
from edgecnn_runtime.backends.ort import OrtBackend, open_ort

FULL = ir.DataType.FLOAT
HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
UNROUNDED = ".unrounded"
ROUNDED = "onnxruntime, rounded to half"  # how such a backend is called


def open_rounded(path: Path, precision: str | None = None) -> OrtBackend:
    """Open a graph on the CPU; one in half precision answers as on a GPU.

    Args:
        precision: as the manifest has it.

    Raises:
        BackendError: the CPU has no kernel for a node of the graph.
        BundleError: ONNX Runtime cannot load it.
    """
    if not _may_be_half(path):
        return open_ort(path, "onnxruntime", precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        write_graph(emulate_half(onnx.load(path)), file)
        backend = open_ort(file, "onnxruntime")
    backend.name = ROUNDED
    return backend


def _may_be_half(path: Path) -> bool:
    """Whether a graph has anything in half precision. Reads no weights that lie outside of it."""
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception:  # not a graph: whoever opens it says so
        return False
    kinds = {tensor.data_type for tensor in graph.initializer}
    kinds |= {a.i for n in graph.node if n.op_type == "Cast" for a in n.attribute if a.name == "to"}
    return not kinds.isdisjoint(HALVES)


def emulate_half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in FP32, with each value rounded as the half precision of its type rounds it.

    Weights and activations are halves and sums are FP32, as tensor cores have them: each operator
    rounds once, what it answers with. An engine that fuses operators rounds less often. Two casts
    stand for the rounding, which turns what FP16 does not reach into infinity. A value keeps its
    name once it is rounded.

    Args:
        graph: of `to_half`, or of somebody else. One without half precision stays as it is, and
            one with an If or a Loop, which no classifier of ours has.
    """
    if any(attribute.HasField("g") for node in graph.graph.node for attribute in node.attribute):
        return graph
    model = ir.from_proto(graph)
    common.ShapeInferencePass()(model)
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
    readers, name = tuple(out.uses()), out.name
    out.name = f"{name}{UNROUNDED}"
    half, last = out, node
    if node.op_type != "Cast":
        last = _cast(out, out.dtype, f"{name}.half")
        half = last.outputs[0]
        out.dtype = FULL
        graph.insert_after(node, last)
    wide = _cast(half, FULL, str(name))
    graph.insert_after(last, wide)
    for reader, index in readers:
        reader.replace_input_with(index, wide.outputs[0])
    for index, answer in enumerate(graph.outputs):
        if answer is out:
            graph.outputs[index] = wide.outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType | None, name: str) -> ir.Node:
    assert dtype is not None
    cast = ir.node("Cast", [value], {"to": int(dtype)}, name=f"{name}/Rounding")
    out = cast.outputs[0]
    out.name, out.dtype, out.shape = name, dtype, value.shape
    return cast
