"""Where two graphs of one network part: the values between their nodes, layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecnn_export.agreement import Frame, looser
from edgecnn_export.outputs import inputs_of, same_pictures
from edgecnn_export.sessions import INPUT, ValueSession
from edgecnn_runtime.bundle import Bundle, read_golden
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import OnnxArtifact

# What rounding explains of a layer's relative error, which grows with the depth. Measured on the
# zoo: 5e-6 in FP32, 2e-2 in FP16.
EXPLAINED = {"fp32": 1e-4, "fp16": 0.05, "bf16": 0.3, "int8": 0.5}
# How ONNX Runtime's quantiser calls a value after its 8 bits, where nothing else has its name.
ROUNDED = "_DequantizeLinear_Output"
FRAMES = 16


@dataclass(frozen=True)
class Layer:
    """A value that both graphs have, and how far they are apart there.

    Attributes:
        error: |other - reference| / |reference|, Euclidean, of the frame on which it is largest;
            infinite where a value is not a number or a shape differs.
        cosine: 1 minus the cosine of the angle between the two, of the same frame.
        growth: the error as a multiple of the largest that goes into the layer; None where nothing
            goes in that could be wrong.
        frame: index of that frame.
    """

    name: str
    operator: str
    error: float
    cosine: float
    growth: float | None
    frame: int


class _Apart(NamedTuple):
    error: float = 0.0
    cosine: float = 0.0
    frame: int = 0


@dataclass(frozen=True)
class Layers:
    """Two graphs, layer by layer.

    Attributes:
        reference, other: paths of their files.
        explained: the relative error that rounding to `precision` explains.
        first: the first layer that is further off.
        layers: in the order in which the reference computes them.
    """

    reference: str
    other: str
    precision: str
    explained: float
    first: Layer | None
    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        who = f"{self.reference} and {self.other}"
        explains = f"{self.precision} explains {self.explained:g}"
        if self.first:
            return (
                f"{who} part first at {self.first.name} ({self.first.operator}): relative error"
                f" {self.first.error:.1e}, {explains}"
            )
        most = max(self.layers, key=lambda layer: layer.error)
        return (
            f"{who} part nowhere: the largest error is {most.error:.1e} at {most.name}, {explains}"
        )


def compare_graphs(
    bundle: Bundle,
    other: Bundle | None = None,
    precision: str | None = None,
    frames: Sequence[Frame] | None = None,
    also: Collection[int] = (),
) -> Layers:
    """Compare the first graph of a bundle with another of its own, or of another bundle.

    Args:
        precision: of the other graph; by default the second of the bundle, the first of another.
        frames: raw BGR frames, of which some are taken; the golden ones by default.
        also: indices of frames that must be among these.

    Raises:
        BundleError: no such graph, no golden frames, or a bundle that answers with pictures.
        InputError: the bundle has one graph, or the graphs have nothing in common.
    """
    spec, one = bundle.classifier().input, bundle.onnx()
    two = other.onnx(precision) if other else _another(bundle, precision)
    raw = read_golden(bundle).frames if frames is None else frames
    count = min(FRAMES, len(raw))
    chosen = sorted({i * len(raw) // count for i in range(count)} | set(also))
    spec_of_other = (other or bundle).classifier().input
    pictures = same_pictures([raw[i] for i in chosen], spec, spec_of_other)
    inputs = inputs_of(pictures, spec)
    theirs = inputs_of(pictures, spec_of_other) if other else inputs
    paths = bundle.file(one), (other or bundle).file(two)
    layers = tuple(
        replace(layer, frame=chosen[layer.frame])
        for layer in compare_layers(*paths, inputs, theirs)
    )
    called = looser(one.precision, two.precision)
    explained = EXPLAINED.get(called, EXPLAINED["fp32"])
    if spec.frame or spec_of_other.frame:  # whose own preprocessing may be off by a level
        explained = max(explained, EXPLAINED["fp16"])
    first = next((layer for layer in layers if layer.error > explained), None)
    return Layers(str(paths[0]), str(paths[1]), called, explained, first, layers)


def _another(bundle: Bundle, precision: str | None) -> OnnxArtifact:
    if precision is None and len(bundle.manifest.onnx) < 2:
        raise InputError(
            f"{bundle.path} has one graph; expected two to compare: export it with --precision"
            " fp32,fp16, or name another bundle with --against"
        )
    return bundle.onnx(precision) if precision else bundle.manifest.onnx[1]


def compare_layers(reference: Path, other: Path, inputs: Frame, other_inputs: Frame) -> list[Layer]:
    """Run two graphs of ours and compare all values of the same name.

    Args:
        inputs: frames as the graph takes them, uint8 (N, H, W, C).
        other_inputs: the same as the other takes them: of another shape where one of the two
            preprocesses frames itself.

    Returns:
        In the order in which the reference computes them.

    Raises:
        InputError: the graphs have no value in common, or ONNX Runtime cannot run one.
    """
    one, two = ValueSession(reference), ValueSession(other)
    pairs = [(name, _counterpart(name, two.names)) for name in one.names]
    shared = {name: there for name, there in pairs if there}
    if not shared:
        raise InputError(
            f"{reference} and {other} have no value of the same name; expected two graphs of one"
            " network"
        )
    entries = (INPUT,) if inputs.shape == other_inputs.shape else ()
    found = dict.fromkeys((*entries, *shared), _Apart())
    for index in range(len(inputs)):
        mine, theirs = inputs[index : index + 1], other_inputs[index : index + 1]
        values = {INPUT: mine, **one.run(shared.keys(), mine)}
        others = {INPUT: theirs, **two.run(shared.values(), theirs)}
        for name, largest in found.items():
            apart = _apart(values[name], others[shared.get(name, name)], index)
            if apart.error > largest.error:
                found[name] = apart
    start = found.get(INPUT, _Apart())
    entry = [Layer(INPUT, "input", start.error, start.cosine, None, start.frame)]
    return (entry if start.error else []) + _layers(one.graph, found)


def _counterpart(name: str, names: Iterable[str]) -> str | None:
    return next((there for there in (name, f"{name}{ROUNDED}") if there in names), None)


def _apart(reference: NDArray[np.generic], other: NDArray[np.generic], frame: int) -> _Apart:
    if reference.shape != other.shape:
        return _Apart(np.inf, 1.0, frame)
    a, b = (array.astype(np.float64).ravel() for array in (reference, other))
    if np.array_equal(a, b):
        return _Apart(0.0, 0.0, frame)
    if not np.isfinite([a, b]).all():
        return _Apart(np.inf, 1.0, frame)
    length, difference = np.linalg.norm(a), np.linalg.norm(a - b)
    lengths = length * np.linalg.norm(b)
    cosine = 1 - float(a @ b / lengths) if lengths else 1.0
    return _Apart(float(difference / length) if length else np.inf, max(0.0, cosine), frame)


def _layers(graph: onnx.GraphProto, found: Mapping[str, _Apart]) -> list[Layer]:
    layers = []
    for node in graph.node:
        goes_in = max((found[name].error for name in node.input if name in found), default=0)
        for name in node.output:
            if name in found:
                error, cosine, frame = found[name]
                growth = error / goes_in if goes_in and np.isfinite(goes_in) else None
                layers.append(Layer(name, node.op_type, error, cosine, growth, frame))
    return layers
