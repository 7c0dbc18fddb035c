"""ONNX Runtime on the workstation: a stranger's graph, and a look inside ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxscript import ir
from onnxscript.ir.passes import common

from edgecnn_export.agreement import Answers, compare
from edgecnn_export.emulate import emulate_half
from edgecnn_export.graph_file import fits_a_protobuf, write_graph
from edgecnn_runtime.backends.ort import settings_for
from edgecnn_runtime.errors import InputError

INPUT = "frames"
BATCH = 16


def float_session(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Run somebody else's graph as it is: float (N, C, H, W) -> its first output.

    Raises:
        InputError: ONNX Runtime cannot load it, or, when it is run, an image of that size.
    """
    try:
        session = _session(path, severity=4)  # what it finds is said by us
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} cannot be run by ONNX Runtime: {reason}") from error
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            answers: NDArray[np.float32] = session.run([output], {name: x})[0]
        except Exception as error:
            size = "x".join(map(str, x.shape))
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{path} cannot be run on an image of {size}: {reason}") from error
        return answers

    return run


def takes_a_batch(graph: onnx.ModelProto) -> bool:
    """Whether a graph of ours answers two frames as it answers each alone."""
    session = _session(graph, severity=4)  # a graph that fails is an answer here
    entry = session.get_inputs()[0]
    rng = np.random.default_rng(0)
    two = rng.integers(0, 256, (2, *entry.shape[1:]), dtype=np.uint8)
    try:
        both = session.run(None, {entry.name: two})[0]
        each = [session.run(None, {entry.name: one[None]})[0] for one in two]
    except Exception:  # ONNX Runtime has one class of its own for each kind of failure
        return False
    return compare(np.concatenate(each), both).holds


def run_graph(graph: onnx.ModelProto, frames: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """All outputs of a graph of ours for frames as it takes them, uint8 (N, H, W, C)."""
    answers: list[NDArray[np.float32]] = _session(graph).run(None, {INPUT: frames})
    return answers


def run_all(graph: onnx.ModelProto, inputs: NDArray[np.uint8], precision: str = "fp32") -> Answers:
    """The probabilities of a graph of ours for any number of inputs, a batch at a time."""
    session = _session(graph, precision=precision)
    output = session.get_outputs()[0].name
    batches = (inputs[i : i + BATCH] for i in range(0, len(inputs), BATCH))
    return np.concatenate([session.run([output], {INPUT: batch})[0] for batch in batches])


def inner_values(
    graph: onnx.ModelProto, names: Sequence[str], inputs: NDArray[np.uint8]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Tensors between the nodes of an FP32 graph of ours, by name, one image after the other."""
    model = ir.from_proto(graph)
    common.ShapeInferencePass()(model)
    made = {value.name: value for node in model.graph for value in node.outputs}
    del model.graph.outputs[:]
    model.graph.outputs.extend(made[name] for name in names)
    session = _session(ir.to_proto(model))
    for image in inputs:
        yield dict(zip(names, session.run(list(names), {INPUT: image[None]}), strict=True))


def value_ranges(graph: onnx.ModelProto, batches: Iterable[NDArray[np.uint8]]) -> dict[str, float]:
    """The largest |value| of every float tensor between the nodes of a graph of ours.

    Args:
        batches: frames as the graph takes them, uint8 (N, H, W, C).

    Returns:
        By the name of the tensor; infinite where it overflows or is not a number.
    """
    found: dict[str, float] = {}
    session = _session(with_all_outputs(graph), optimise=False)
    names = [out.name for out in session.get_outputs() if out.type == "tensor(float)"]
    for frames in batches:
        arrays = session.run(names, {INPUT: frames})
        for name, array in zip(names, arrays, strict=True):
            largest = float(np.abs(array).max(initial=0))
            found[name] = max(found.get(name, 0), largest if np.isfinite(largest) else np.inf)
    return found


class ValueSession:
    """A graph of ours with every float value between its nodes in reach.

    Half precision is rounded as on a GPU, and given in FP32.

    Attributes:
        names: of these values.
    """

    def __init__(self, path: Path) -> None:
        proto = onnx.load(path)  # with its external data
        self.graph = proto.graph
        try:
            self._session = _session(with_all_outputs(emulate_half(proto)), optimise=False)
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{path} cannot be run by ONNX Runtime: {reason}") from error
        self.names = [o.name for o in self._session.get_outputs() if o.type == "tensor(float)"]

    def run(self, names: Iterable[str], frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """The values of these names for frames as the graph takes them, uint8 (N, H, W, C)."""
        chosen = list(names)
        arrays = self._session.run(chosen, {INPUT: frames})
        return dict(zip(chosen, arrays, strict=True))


def with_all_outputs(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every value between its nodes as an output too."""
    model = ir.from_proto(graph)
    common.ShapeInferencePass()(model)
    made = [value for node in model.graph for value in node.outputs]
    model.graph.outputs.extend(v for v in made if v.type and not v.is_graph_output())
    return ir.to_proto(model)


def _session(
    graph: Path | onnx.ModelProto,
    *,
    severity: int = 3,
    optimise: bool = True,
    precision: str = "fp32",
) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = severity
    for key, value in settings_for(precision).items():
        options.add_session_config_entry(key, value)
    if not optimise:  # else values are fused away, or computed in other types
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    providers = ["CPUExecutionProvider"]
    if isinstance(graph, Path):
        return ort.InferenceSession(str(graph), options, providers=providers)
    if fits_a_protobuf(graph):
        return ort.InferenceSession(graph.SerializeToString(), options, providers=providers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_graph(graph, path)
        return ort.InferenceSession(str(path), options, providers=providers)
