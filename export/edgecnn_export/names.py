"""Names that people read in Netron, trtexec and a profile: those of the modules."""

from __future__ import annotations

import re
from collections import Counter

from onnxscript import ir

OUTPUT = re.compile(r"_output_\d+$")
OPERANDS = {
    "Conv": ("weight", "bias"),
    "ConvTranspose": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
}


def name_after_modules(graph: ir.Graph, root: str = "network") -> None:
    """Name nodes, values and constants after the modules that they come from.

    PyTorch's exporter keeps the module's path in the names of values alone, each step written with
    all before it: `/network/features/features.0/Conv_output_0` becomes `features.0/Conv`.

    Args:
        root: the module whose own name is left out.
    """
    taken: Counter[str] = Counter()
    outside = {*graph.inputs, *graph.outputs}
    for node in graph:
        value = node.outputs[0]
        plain = node.op_type if value in outside else _readable(value.name or node.op_type, root)
        name = plain
        while taken[name]:  # PyTorch numbers too: an Add_2 may be there already
            taken[plain] += 1
            name = f"{plain}_{taken[plain]}"
        taken[name] += 1
        node.name = name
        for index, out in enumerate(node.outputs):
            if out not in outside:
                out.name = name if index == 0 else f"{name}:{index}"
    _name_constants(graph)


def complete_names(graph: ir.Graph) -> None:
    """Name each node that has no name, or another's, after its first output."""
    taken: set[str] = set()
    for node in graph:
        name = node.name if node.name and node.name not in taken else node.outputs[0].name
        while not name or name in taken:
            name = f"{name or node.op_type}_"
        taken.add(name)
        node.name = name


def _readable(name: str, root: str) -> str:
    steps = OUTPUT.sub("", name).strip("/").split("/")
    short: list[str] = []
    for step in steps:
        if short and step.startswith(f"{short[-1]}."):
            short.pop()
        short.append(step)
    if short[0] == root and len(short) > 1:
        short = short[1:]
    *modules, last = short
    return "/".join([".".join(modules), last] if modules else [last])


def _name_constants(graph: ir.Graph) -> None:
    """A constant is named after the first node that reads it."""
    known = dict(graph.initializers)
    graph.initializers.clear()
    for node in graph:
        operands = OPERANDS.get(node.op_type, ())
        for index, value in enumerate(node.inputs):
            if value is None or known.pop(value.name or "", None) is not value:
                continue
            what = operands[index - 1] if 0 < index <= len(operands) else f"constant_{index}"
            module = (node.name or "").rpartition("/")[0]
            name = f"{module}.{what}" if operands and module else f"{node.name}.{what}"
            while name in graph.initializers:
                name += "_"
            rename(value, name)
            graph.initializers[name] = value


def rename(value: ir.Value, name: str) -> None:
    """Rename a value, and the tensor that it holds."""
    value.name = name
    if value.const_value is not None:
        value.const_value.name = name
