"""A network with its normalisation and softmax as one ONNX graph: uint8 frames in."""

from __future__ import annotations

import io
import json
import re
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import torch
from onnxscript import ir
from torch import nn

from edgecnn.evaluation.deployed import Deployed
from edgecnn_export.dynamo import export_dynamo
from edgecnn_export.graph_file import check
from edgecnn_export.sessions import INPUT
from edgecnn_export.simplify import simplify
from edgecnn_runtime.errors import InputError, one_line, unknown_name
from edgecnn_runtime.manifest import Input

OUTPUT, LOGITS = "probabilities", "logits"
TOP = ("top_probabilities", "top_classes")
OPSET = 17  # the newest that JetPack 6's TensorRT 10.3 is sure to parse
OPSETS = range(13, 21)
EXPORTERS = ("torchscript", "dynamo")  # a second, and the opset that was asked for; ten seconds


def check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise InputError(
            f"opset {opset}; expected {OPSETS.start} to {OPSETS.stop - 1}, {OPSET} where JetPack 6"
            " is among the devices"
        )


@dataclass(frozen=True)
class GraphOptions:
    """What a graph is to look like.

    Attributes:
        opset: of ONNX.
        logits: answer with them too, behind the probabilities.
        top_k: answer with so many of the largest probabilities too, largest first, and with their
            classes: `top_probabilities` float32 and `top_classes` int32, both (batch, top_k).
        frame: (height, width) of camera frames that the graph takes as they are; None where it
            takes preprocessed ones.
        exporter: of PyTorch, one of `EXPORTERS`.
    """

    opset: int = OPSET
    logits: bool = False
    top_k: int | None = None
    frame: tuple[int, int] | None = None
    exporter: str = "torchscript"

    def __post_init__(self) -> None:
        check_opset(self.opset)
        if self.exporter not in EXPORTERS:
            raise unknown_name("exporter", self.exporter, EXPORTERS)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network answers with; the probabilities come first."""
        return (OUTPUT, LOGITS) if self.logits else (OUTPUT,)


DEFAULT = GraphOptions()


class ExportError(InputError):
    """An exporter of PyTorch cannot export the network, or only as a graph that is not valid."""


def to_onnx(
    network: nn.Module,
    spec: Input,
    labels: tuple[str, ...],
    options: GraphOptions = DEFAULT,
) -> onnx.ModelProto:
    """Export a classifier.

    What an exporter writes is to be checked against PyTorch before anyone sees it.

    Args:
        network: float (N, C, H, W) -> logits (N, classes).
        options: outputs, opset and exporter; a graph of `dynamo` that cannot be converted to an
            older opset keeps its own.

    Returns:
        The graph: `frames` uint8 (batch, H, W, C) -> `probabilities` (batch, classes).

    Raises:
        ExportError: PyTorch cannot export the network.
        InputError: an option does not fit it.
    """
    deployed = Deployed(network, spec, logits=options.logits).eval()
    example = torch.zeros(2, spec.height, spec.width, spec.channels, dtype=torch.uint8)
    try:
        if options.exporter == "dynamo":
            model = export_dynamo(deployed, example, options.outputs, options.opset)
            return finish(model, spec, labels, options)
        open_axes = {name: {0: "batch"} for name in (INPUT, *options.outputs)}
        model = trace(deployed, example, options.outputs, open_axes, options.opset)
        return finish(model, spec, labels, options)
    except InputError:
        raise
    except Exception as error:  # of PyTorch's exporter, ONNX's checker, or a rewriting in between
        raise ExportError(f"PyTorch cannot export this network: {what_it_said(error)}") from error


def what_it_said(error: Exception) -> str:
    """An error of PyTorch's exporters in one line, without colours and the values of its graph."""
    said = re.sub(r"\x1b\[[0-9;]*m", "", one_line(error))
    return re.split(r"\s*\[Caused by|\s*This is step", said)[0]


def trace(
    module: nn.Module,
    example: torch.Tensor,
    outputs: Sequence[str],
    open_axes: dict[str, dict[int, str]],
    opset: int,
) -> onnx.ModelProto:
    """Export a module of one input, as PyTorch writes it.

    Args:
        outputs: names of what it answers with.
        open_axes: the axes of input and outputs that may have any size, by name.

    Raises:
        ExportError: PyTorch cannot export it.
    """
    silence = redirect_stdout(io.StringIO())  # into which it writes a graph that it gives up
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), silence:
        warnings.simplefilter("ignore")  # the exporter speaks of its successor
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                module,
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes=open_axes,
                opset_version=opset,
                dynamo=False,
            )
        except Exception as error:
            raise ExportError(
                f"PyTorch cannot export this network: {what_it_said(error)}"
            ) from error
        return onnx.load(path)


def finish(
    model: onnx.ModelProto,
    spec: Input,
    labels: tuple[str, ...],
    options: GraphOptions = DEFAULT,
    *,
    rename: bool = True,
) -> onnx.ModelProto:
    """Simplify and check the graph, and put labels and preprocessing into its metadata.

    The metadata is for C++ users and viewers; the runtime reads the manifest.

    Args:
        rename: nodes and values after the modules that they come from.

    Raises:
        InputError: more classes are asked for than there are.
    """
    if options.top_k is not None:
        _add_top_k(model.graph, options.top_k, len(labels))
    entries = {
        "edgecnn.labels": json.dumps(labels, ensure_ascii=False),
        "edgecnn.input": msgspec.json.encode(spec).decode(),
    }
    return seal(model, entries, rename=rename)


def _add_top_k(graph: onnx.GraphProto, k: int, classes: int) -> None:
    if not 1 <= k <= classes:
        raise InputError(f"top-k of {k}; the model has {classes} classes: expected 1 to {classes}")
    batch = graph.output[0].type.tensor_type.shape.dim[0]
    count = onnx.numpy_helper.from_array(np.array([k]), "top_k")
    graph.initializer.append(count)
    indices = "top_classes.int64"  # which TensorRT would have to convert in any case
    graph.node.extend(
        [
            onnx.helper.make_node("TopK", [OUTPUT, count.name], [TOP[0], indices], axis=1),
            onnx.helper.make_node("Cast", [indices], [TOP[1]], to=onnx.TensorProto.INT32),
        ]
    )
    shape = [batch.dim_param or batch.dim_value, k]
    for name, kind in zip(TOP, (onnx.TensorProto.FLOAT, onnx.TensorProto.INT32), strict=True):
        graph.output.append(onnx.helper.make_tensor_value_info(name, kind, shape))


def seal(
    proto: onnx.ModelProto, entries: dict[str, str], *, rename: bool = True
) -> onnx.ModelProto:
    """Simplify and check the graph, and set its metadata to these entries and no others."""
    model = simplify(proto, rename=rename)
    model.metadata_props.clear()
    model.metadata_props.update(entries)
    model.producer_name = "edgecnn"
    check(model)
    return ir.to_proto(model)
