"""A graph in memory and as a file: weights that no protobuf can hold lie in a file beside it."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnxscript import ir
from onnxscript.ir.passes import common

LIMIT = 2**31 - 2**24  # bytes; a protobuf ends at 2 GiB, and nodes and names need some of it


def check(model: ir.Model) -> None:
    """Check a graph, its types and its shapes, without a copy of its weights.

    Raises:
        onnx.checker.ValidationError: it is not valid ONNX.
    """
    common.CheckerPass(full_check=True)(model)


def convert_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same graph in another opset; its weights stay out of what the converter copies."""
    inputs = len(model.graph.input)
    large = [tensor for tensor in model.graph.initializer if _is_large(tensor)]
    light = onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        producer_name=model.producer_name,
        metadata_props=model.metadata_props,
        graph=onnx.GraphProto(
            name=model.graph.name,
            node=model.graph.node,
            input=[
                *model.graph.input,
                *(onnx.helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in large),
            ],
            output=model.graph.output,
            initializer=[t for t in model.graph.initializer if not _is_large(t)],
        ),
    )
    converted = onnx.version_converter.convert_version(light, opset)
    del converted.graph.input[inputs:]
    converted.graph.initializer.extend(large)
    return converted


def _is_large(tensor: onnx.TensorProto) -> bool:
    """Whether it is weights, and not a shape or axes, whose values an operator's meaning needs."""
    return bool(math.prod(tensor.dims) > 256)


def weights_bytes(model: onnx.ModelProto) -> int:
    """What the constants of a graph take."""
    return sum(ir.from_proto(tensor).nbytes for tensor in model.graph.initializer)


def fits_a_protobuf(model: onnx.ModelProto) -> bool:
    return weights_bytes(model) <= LIMIT


def write_graph(model: onnx.ModelProto, path: Path) -> Path | None:
    """Write a graph.

    Returns:
        The file of its weights, `model.onnx.data` beside `model.onnx`; None where the graph holds
        them itself.
    """
    if fits_a_protobuf(model):
        path.write_bytes(model.SerializeToString())
        return None
    weights = path.with_name(f"{path.name}.data")
    ir.save(ir.from_proto(model), path, external_data=weights.name)
    return weights
