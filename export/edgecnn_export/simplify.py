"""Make a graph smaller, faster and readable, and no different."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxscript import ir, optimizer
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules import common

from edgecnn_export.names import complete_names, name_after_modules, rename

BATCH_NORM = [
    common.fuse_batchnorm_into_conv_rule,
    common.fuse_batchnorm_into_conv_transpose_rule,
    common.fuse_batchnorm_into_gemm_rule,
]


def simplify(proto: onnx.ModelProto, *, rename: bool = True) -> ir.Model:
    """Fold constants and batch norm, remove dead nodes, scale weights in place of pixels.

    Args:
        rename: nodes and values after modules; a stranger's graph keeps the names that it has,
            and only nodes without one get one.
    """
    model = ir.from_proto(proto)
    optimizer.fold_constants(model, should_fold=_shapes_too)
    optimizer.optimize_ir(model)
    model = rewrite(model, pattern_rewrite_rules=BATCH_NORM)
    _scale_weights(model.graph)
    if rename:
        name_after_modules(model.graph)
    else:
        complete_names(model.graph)
    return model


def _shapes_too(node: ir.Node) -> bool | None:
    """PyTorch writes the margins of a padding as six nodes, of which one is never folded."""
    return True if node.op_type == "ConstantOfShape" else None


def _scale_weights(graph: ir.Graph) -> None:
    """conv(scale · x + shift) -> conv'(x + shift / scale), with the scale in the weights of conv'.

    That saves a pass over each image. Zeros beyond the border stay zeros.
    """
    for multiply in graph:
        add = _only_reader(multiply, "Mul", "Add")
        conv = add and _only_reader(add, "Add", "Conv")
        if add is None or conv is None:
            continue
        scale, shift, weight = (_constant(node) for node in (multiply, add, conv))
        if scale is None or shift is None or weight is None:
            continue
        if not scale.shape == shift.shape == (weight.shape[1], 1, 1) or not scale.all():
            continue
        _set_constant(graph, conv, weight * scale)
        _set_constant(graph, add, shift / scale)
        add.replace_input_with(0, multiply.inputs[0])
        graph.remove(multiply, safe=True)
        remove_unused(graph)
        return


def _constant(node: ir.Node) -> NDArray[np.float64] | None:
    """The second operand in double precision, where it is a constant of this node alone."""
    value = node.inputs[1]
    if value is None or value.const_value is None or len(value.uses()) != 1:
        return None
    return value.const_value.numpy().astype(np.float64)


def _only_reader(node: ir.Node, kind: str, reader: str) -> ir.Node | None:
    """The one node that reads a node's output as its first operand, where the kinds are these."""
    out = node.outputs[0]
    if node.op_type != kind or out.is_graph_output() or len(out.uses()) != 1:
        return None
    ((found, index),) = out.uses()
    return found if found.op_type == reader and index == 0 else None


def _set_constant(graph: ir.Graph, node: ir.Node, array: NDArray[np.float64]) -> None:
    old = node.inputs[1]
    assert old is not None
    name = f"{old.name}.scaled"
    node.replace_input_with(1, add_constant(graph, name, ir.tensor(array.astype(np.float32))))


def add_constant(graph: ir.Graph, name: str, tensor: ir.TensorProtocol) -> ir.Value:
    """Put a tensor into a graph."""
    value = ir.Value(
        name=name,
        shape=ir.Shape(tensor.shape.numpy()),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    rename(value, name)
    graph.register_initializer(value)
    return value


def remove_unused(graph: ir.Graph) -> None:
    """Remove constants that no node reads."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
