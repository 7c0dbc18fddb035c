"""A graph in half precision as a GPU computes it, on a CPU.

ONNX Runtime has no kernels in half precision for the CPU: it computes such a graph in FP32 and
rounds nothing between its layers, so that what overflows or vanishes on a GPU is right on a CPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecnn_runtime.backends.ort import OrtBackend, open_ort

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
UNROUNDED = ".unrounded"
ROUNDED = "onnxruntime, rounded to half"  # how such a backend is called


def open_rounded(path: Path) -> OrtBackend:
    """Open a graph on the CPU; one in half precision answers as on a GPU.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    model = rounded(onnx.load(path)) if _may_be_half(path) else None
    if model is None:
        return open_ort(path, "onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        onnx.save(model, file)
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


def rounded(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The same graph in FP32, with every value that is half rounded where it is computed.

    Products are summed in FP32 before they are rounded, as tensor cores do.

    Returns:
        A graph with the same names; None where nothing is half.
    """
    graph = model.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return None  # an If or a Loop: not of a classifier of ours
    types = _types(model)
    halves = {name: kind for name, kind in types.items() if kind in HALVES}
    if not halves:
        return None
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.node[:], out.graph.value_info[:]
    for tensor in out.graph.initializer:
        _in_full(tensor)
    for info in (*out.graph.input, *out.graph.output):
        if info.type.tensor_type.elem_type in HALVES:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        out.graph.node.extend(_rounding(node, halves))
    return out


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The type of every value and constant, by its name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    constants = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {value.name: value.type.tensor_type.elem_type for value in values} | constants


def _in_full(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in HALVES:
        array = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _rounding(node: onnx.NodeProto, halves: dict[str, int]) -> Iterator[onnx.NodeProto]:
    """A node in FP32, and behind it the rounding of what it gives."""
    full = onnx.NodeProto()
    full.CopyFrom(node)
    for attribute in full.attribute:
        if attribute.HasField("t"):
            _in_full(attribute.t)
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i in HALVES:
            attribute.i = TensorProto.FLOAT
    for index, name in enumerate(node.output):
        if name in halves:
            full.output[index] = f"{name}{UNROUNDED}"
    yield full
    for name in node.output:
        if name in halves:
            small = f"{name}.rounded"
            yield helper.make_node("Cast", [f"{name}{UNROUNDED}"], [small], to=halves[name])
            yield helper.make_node("Cast", [small], [name], to=TensorProto.FLOAT)
