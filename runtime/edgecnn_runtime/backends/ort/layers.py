"""ONNX Runtime's own profile of a graph: what each node took, with its shapes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgecnn_runtime.backends.ort.session import settings_for
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.latency.layers import Layer, LayerRuns

WARM_UP = 10
_KERNEL, _RUN = "_kernel_time", "model_run"
_DENSE = ("Conv", "Gemm", "MatMul")  # of an operator's name: FusedConv, QLinearConv, MatMulInteger
Shapes = list[dict[str, list[int]]]


class _Arguments(msgspec.Struct):
    """What ONNX Runtime notes of a node; sizes are in bytes."""

    op_name: str = ""
    node_index: str = ""
    provider: str = ""
    activation_size: str = "0"
    parameter_size: str = "0"
    output_size: str = "0"
    input_type_shape: Shapes = []
    output_type_shape: Shapes = []


class _Event(msgspec.Struct):
    name: str
    cat: str
    ts: int = 0  # µs
    dur: int = 0
    args: _Arguments = msgspec.field(default_factory=_Arguments)


class OrtLayers:
    """Times the nodes of an ONNX file on the CPU, in a session of its own."""

    def __init__(self, path: Path, *, precision: str | None = None, threads: int | None = None):
        self.path, self.precision, self.threads = path, precision, threads or cores()

    def time_layers(self, frames: Sequence[NDArray[np.uint8]], runs: int) -> LayerRuns:
        """See `LayerTimes`. ONNX Runtime counts whole microseconds."""
        timed = parse_profile(self._profile(frames, WARM_UP + runs), skip=WARM_UP)
        timed = replace(timed, precision=self.precision or "")
        # Weights that were packed ahead have left the node's inputs: one more run has them there.
        unpacked = {"session.disable_prepacking": "1"}
        described = parse_profile(self._profile(frames, 1, unpacked)).layers
        same = [one.name for one in described] == [one.name for one in timed.layers]
        return replace(timed, layers=described) if same else timed

    def _profile(
        self, frames: Sequence[NDArray[np.uint8]], runs: int, settings: Mapping[str, str] = {}
    ) -> bytes:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads
        options.enable_profiling = True
        for key, value in {**settings_for(self.precision), **settings}.items():
            options.add_session_config_entry(key, value)
        with tempfile.TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder) / "layers")
            providers = ["CPUExecutionProvider"]
            session = ort.InferenceSession(str(self.path), options, providers=providers)
            name = session.get_inputs()[0].name
            for frame in islice(cycle(frames), runs):
                session.run(None, {name: frame[None]})
            return Path(session.end_profiling()).read_bytes()


def parse_profile(text: bytes, *, skip: int = 0) -> LayerRuns:
    """Read the file that ONNX Runtime writes.

    Args:
        skip: runs to leave out, the first ones.

    Raises:
        BackendError: it holds no run, or runs of other nodes than the first.
    """
    events = msgspec.json.decode(text, type=list[_Event])
    runs = sorted((e for e in events if e.name == _RUN), key=lambda e: e.ts)[skip:]
    nodes = sorted((e for e in events if e.name.endswith(_KERNEL)), key=lambda e: e.ts)
    if not runs:
        raise BackendError(f"ONNX Runtime {ort.__version__} wrote a profile without a run in it")
    times: list[list[float]] = []
    first: list[_Event] = []
    at = 0
    for run in runs:
        while at < len(nodes) and nodes[at].ts < run.ts:
            at += 1
        began = at
        while at < len(nodes) and nodes[at].ts < run.ts + run.dur:
            at += 1
        of_run = nodes[began:at]
        first = first or of_run
        if [e.args.node_index for e in of_run] != [e.args.node_index for e in first]:
            raise BackendError("ONNX Runtime ran other nodes from run to run")
        times.append([e.dur / 1e3 for e in of_run])
    return LayerRuns(tuple(_layer(e) for e in first), times, [run.dur / 1e3 for run in runs])


def _layer(event: _Event) -> Layer:
    said = event.args
    sizes = said.activation_size, said.parameter_size, said.output_size
    name = event.name.removesuffix(_KERNEL).removesuffix("_nchwc")  # ORT's own layout
    return Layer(
        name=name,
        kind=said.op_name,
        provider=said.provider,
        macs=_macs(said),
        bytes=sum(int(size) for size in sizes),
    )


def _macs(said: _Arguments) -> int | None:
    """Of a convolution or a product; None for what has no weights to multiply with."""
    if not any(word in said.op_name for word in _DENSE) or not said.output_type_shape:
        return None
    inputs = [_shape(entry) for entry in said.input_type_shape]
    outputs = math.prod(_shape(said.output_type_shape[0]))
    if "Conv" in said.op_name:
        weight = next((shape for shape in inputs[1:] if len(shape) > 2), None)
        places = math.prod(inputs[0]) if "Transpose" in said.op_name else outputs
        return places * math.prod(weight[1:]) if weight else None
    return outputs * inputs[0][-1] if inputs and inputs[0] else None


def _shape(entry: dict[str, Any]) -> list[int]:
    (shape,) = entry.values()
    return list(shape)
