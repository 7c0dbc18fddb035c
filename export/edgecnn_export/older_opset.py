"""From opset 18, the oldest that PyTorch's newer exporter writes, to 17.

ONNX's own converter has no way back for what opset 18 changed: axes became an input, splits got a
count, and resizing options that these graphs do not use.
"""

from __future__ import annotations

from onnxscript import ir

AXES_AS_INPUT = {
    f"Reduce{kind}"
    for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
}
# operator -> attributes that are new, with the value that stands for what was before
NEW_OPTIONS: dict[str, dict[str, object]] = {
    "Resize": {"antialias": 0, "keep_aspect_ratio_policy": "stretch"},
    "LpPool": {"ceil_mode": 0, "dilations": [1, 1]},
}
NEW = {"BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad", "Col2Im", "Mish"}
NEW |= {"GroupNormalization"}


def lower_to_17(model: ir.Model) -> bool:
    """Rewrite a graph of opset 18.

    Returns:
        Whether it was; it is unchanged where a node has no form in opset 17.
    """
    if not all(_has_older_form(node) for node in model.graph):
        return False
    for node in model.graph:
        _rewrite(node)
    model.graph.opset_imports[""] = 17
    return True


def _has_older_form(node: ir.Node) -> bool:
    if node.op_type in AXES_AS_INPUT:
        axes = _second(node)
        keeps = node.attributes.get_int("noop_with_empty_axes", 0)
        return axes is None or (axes.const_value is not None and not keeps)
    if node.op_type == "Split" and _second(node) is None:
        length = _length(node.inputs[0], node.attributes.get_int("axis", 0))
        return length is not None and length % len(node.outputs) == 0
    if node.op_type == "Pad":
        return len(node.inputs) < 4
    if node.op_type.startswith("Scatter"):
        return node.attributes.get_string("reduction", "none") in ("none", "add", "mul")
    options = NEW_OPTIONS.get(node.op_type, {})
    plain = all(
        node.attributes[name].value == before
        for name, before in options.items()
        if name in node.attributes
    )
    return plain and node.op_type not in NEW and "axes" not in node.attributes


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
    for name in NEW_OPTIONS.get(node.op_type, {}):
        node.attributes.pop(name, None)


def _second(node: ir.Node) -> ir.Value | None:
    return node.inputs[1] if len(node.inputs) > 1 else None


def _length(value: ir.Value | None, axis: int) -> int | None:
    """Of an axis, where it is known."""
    length = value.shape[axis] if value is not None and value.shape is not None else None
    return length if isinstance(length, int) else None
