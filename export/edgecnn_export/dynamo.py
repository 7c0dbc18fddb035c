"""PyTorch's newer exporter, which follows Python where the older one follows an example."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Sequence

import onnx
import torch
from onnxscript import ir
from torch import nn

from edgecnn_export.older_opset import lower
from edgecnn_export.sessions import INPUT

FIRST_OPSET = 18  # that it writes


def export_dynamo(
    module: nn.Module, example: torch.Tensor, outputs: Sequence[str], opset: int
) -> onnx.ModelProto:
    """Export a module of one input, of which the first axis may have any size.

    Args:
        outputs: names of what it answers with.
        opset: what is wanted; a graph that cannot have it keeps `FIRST_OPSET`.

    Raises:
        Exception: PyTorch cannot export it, of one of its many kinds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own insides
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=max(opset, FIRST_OPSET),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    _name_as_the_older_one(program.model.graph)
    _forget_sources(program.model)
    if opset < FIRST_OPSET:
        lower(program.model, opset)
    proto: onnx.ModelProto = program.model_proto
    return proto


def _name_as_the_older_one(graph: ir.Graph) -> None:
    """`/network/conv1.0/Conv_output_0`: the module's path in the names of values."""
    taken: Counter[str] = Counter()
    for node in graph:
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        module = scopes[-2] if len(scopes) > 1 else ""
        root, _, inside = module.partition(".")
        path = "/".join(filter(None, ("", root, inside, node.op_type)))
        for out in node.outputs:
            if not out.is_graph_output():
                out.name = f"/{path}_output_{taken[path]}"
                taken[path] += 1


def _forget_sources(model: ir.Model) -> None:
    """Metadata that holds lines and paths of the source code."""
    graph = model.graph
    values = [*graph.inputs, *graph.initializers.values(), *(v for n in graph for v in n.outputs)]
    for thing in (model, graph, *graph, *values):
        thing.metadata_props.clear()
