"""The first of PyTorch's exporters whose graph gives the network's answers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from edgecnn_export.agreement import Agreement, Answers, Frame
from edgecnn_export.graph_file import opset_of, write_graph
from edgecnn_export.parity import parity
from edgecnn_export.sessions import takes_a_batch
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import EXPORTERS, ExportError, GraphOptions
from edgecnn_runtime.errors import CheckFailedError, InputError, unknown_name

AUTO = "auto"


@dataclass(frozen=True)
class Choice:
    """A graph in FP32 that gives the network's answers.

    Attributes:
        options: with the exporter that made it.
        exporter: None where the graph is somebody else's.
        remarks: why an earlier exporter was not taken, and what this one could not do.
    """

    graph: onnx.ModelProto
    agreement: Agreement
    options: GraphOptions
    exporter: str | None = None
    remarks: tuple[str, ...] = ()


def choose(
    source: Source,
    options: GraphOptions,
    frames: Sequence[Frame],
    answers: Answers,
    exporter: str = AUTO,
) -> Choice:
    """Export with one exporter after the other, until a graph gives the network's answers.

    Args:
        frames: raw BGR frames.
        answers: the network's, to these frames.
        exporter: one of `EXPORTERS`, or all of them in turn.

    Raises:
        CheckFailedError: no graph gives them.
        InputError: no such exporter, there is no choice, or none can export the network.
    """
    if exporter not in (AUTO, *EXPORTERS):
        raise unknown_name("exporter", exporter, (AUTO, *EXPORTERS))
    if source.network is None and exporter != AUTO:
        raise InputError(f"--exporter {exporter} on a graph that was exported already")
    tried = EXPORTERS if exporter == AUTO and source.network else (exporter,)
    if not np.isfinite(answers).all():  # no graph can give these
        tried = tried[:1]
    wrong: dict[str, str] = {}
    parted = False
    for name in tried:
        given = options if name == AUTO else replace(options, exporter=name)
        try:
            graph = source.graph(given)
            agreement = _examined(graph, source, frames, answers)
        except (ExportError, CheckFailedError) as error:
            wrong[name] = str(error)
            parted = parted or isinstance(error, CheckFailedError)
        else:
            made_by = None if name == AUTO else name
            return Choice(graph, agreement, given, made_by, _remarks(name, wrong, graph, options))
    raise _refusal(wrong, parted)


def _examined(
    graph: onnx.ModelProto, source: Source, frames: Sequence[Frame], answers: Answers
) -> Agreement:
    """How far a graph agrees; a CheckFailedError where that is not enough."""
    if source.network is not None and not takes_a_batch(graph):
        raise CheckFailedError("its graph does not answer three frames as it answers each alone")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_graph(graph, file)
        try:
            found = parity(file, source.spec, frames, answers)
        except InputError as error:  # it does not load
            raise CheckFailedError(str(error)) from error
    if not found.holds:
        raise CheckFailedError(f"the fp32 graph does not give the model's answers: {found}")
    return found


def _remarks(
    name: str, wrong: dict[str, str], graph: onnx.ModelProto, options: GraphOptions
) -> tuple[str, ...]:
    remarks = [f"{name} was used, since {earlier} failed: {why}" for earlier, why in wrong.items()]
    if (opset := opset_of(graph)) > options.opset:
        remarks.append(
            f"opset {opset}, since this graph has no form in opset {options.opset}; an older"
            " TensorRT may not take it"
        )
    return tuple(remarks)


def _refusal(wrong: dict[str, str], parted: bool) -> InputError | CheckFailedError:
    reasons = list(dict.fromkeys(wrong.values()))
    if len(reasons) > 1:
        reasons = [f"{name}: {why}" for name, why in wrong.items()]
    said = "; ".join(reasons)
    return CheckFailedError(said) if parted else ExportError(said)
