"""From a newer opset to an older one, such as the 17 that every TensorRT since 10 reads.

ONNX's own converter has no way back for most of what changed since opset 18. Most of it is new
types and new options, which these graphs do not use: such a node has the same form in both. Whether
the older graph means the same is proved afterwards, on real images.
"""

from __future__ import annotations

from contextlib import suppress

import onnx
from onnx.defs import OpSchema
from onnxscript import ir

# From AXES_MOVED on their axes are an input.
AXES_AS_INPUT = {
    f"Reduce{kind}"
    for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
}
SCATTER = {"ScatterElements", "ScatterND"}  # got more reductions
REWRITTEN_KINDS = AXES_AS_INPUT | SCATTER | {"Split"}
AXES_MOVED = 18
REWRITTEN = ("noop_with_empty_axes", "num_outputs")
OWN = ("", "ai.onnx")


def lower(model: ir.Model, opset: int) -> bool:
    """Rewrite a graph in an older opset.

    Returns:
        Whether it was; it is unchanged where a node has no form in that opset.
    """
    own = model.graph.opset_imports.get("", 0)
    nodes = [node for node in model.graph.all_nodes() if node.domain in OWN]
    if model.functions or not all(_has_older_form(node, own, opset) for node in nodes):
        return False
    for node in nodes:
        if own >= AXES_MOVED > opset:
            _rewrite(node)
        for name in _new_options(node, own, opset):
            node.attributes.pop(name, None)
    model.graph.opset_imports[""] = opset
    return True


def lowered(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The graph in an older opset; itself where a node of it has no form there."""
    with suppress(Exception):  # shapes are wanted of few nodes; what is too large goes without
        proto = onnx.shape_inference.infer_shapes(proto)
    model = ir.from_proto(proto)
    if not lower(model, opset):
        return proto
    found: onnx.ModelProto = ir.to_proto(model)
    return found


def _has_older_form(node: ir.Node, own: int, opset: int) -> bool:
    older = _schema(node, opset)
    if older is None or (node.op_type == "GridSample" and own >= 20 > opset):  # renamed its modes
        return False
    if not all(_is_neutral(node, name, own) for name in _new_options(node, own, opset)):
        return False
    if own >= AXES_MOVED > opset and node.op_type in REWRITTEN_KINDS:
        return _can_be_rewritten(node)
    return len(node.inputs) <= older.max_input


def _can_be_rewritten(node: ir.Node) -> bool:
    """Whether what opset 18 changed can be said as before."""
    if node.op_type in AXES_AS_INPUT:
        axes = _second(node)
        keeps = node.attributes.get_int("noop_with_empty_axes", 0)
        return axes is None or (axes.const_value is not None and not keeps)
    if node.op_type == "Split" and _second(node) is None:
        length = _length(node.inputs[0], node.attributes.get_int("axis", 0))
        return length is not None and length % len(node.outputs) == 0
    if node.op_type in SCATTER:
        return node.attributes.get_string("reduction", "none") in ("none", "add", "mul")
    return True


def _new_options(node: ir.Node, own: int, opset: int) -> list[str]:
    """Attributes of a node that the older form has not."""
    newer, older = _schema(node, own), _schema(node, opset)
    if newer is None or older is None:
        return []
    known = {*older.attributes, *(REWRITTEN if own >= AXES_MOVED > opset else ())}
    return [name for name in node.attributes if name in newer.attributes and name not in known]


def _is_neutral(node: ir.Node, name: str, own: int) -> bool:
    """Whether an attribute says what was the case before there was one."""
    value = node.attributes[name].value
    if name == "dilations":
        return all(step == 1 for step in value)
    schema = _schema(node, own)
    assert schema is not None
    default = schema.attributes[name].default_value
    if not default.type:
        return False
    before = onnx.helper.get_attribute_value(default)
    return bool(value == (before.decode() if isinstance(before, bytes) else before))


def _schema(node: ir.Node, opset: int) -> OpSchema | None:
    try:
        return onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return None


def _rewrite(node: ir.Node) -> None:
    if node.op_type in AXES_AS_INPUT:
        axes = _second(node)
        if axes is not None and axes.const_value is not None:
            values = [int(axis) for axis in axes.const_value.numpy()]
            node.attributes.add(ir.AttrInt64s("axes", values))
        node.resize_inputs(1)
        node.attributes.pop("noop_with_empty_axes", None)
    elif node.op_type == "Split":
        node.attributes.pop("num_outputs", None)


def _second(node: ir.Node) -> ir.Value | None:
    return node.inputs[1] if len(node.inputs) > 1 else None


def _length(value: ir.Value | None, axis: int) -> int | None:
    """Of an axis, where it is known."""
    length = value.shape[axis] if value is not None and value.shape is not None else None
    return length if isinstance(length, int) else None
