"""The folder of a sweep: a variant is a file, written whole or not at all, and found again.

sweep.json                     the plan
supernet/                      weights that all widths share, where that was asked for
w0.5-r128/run/                 the run folder of one network
w0.5-r128/bundle/              its bundle, a graph and an engine for each precision
w0.5-r128/variant.json         its counts, accuracy and bytes
w0.5-r128/latency.fp32.json    what was measured
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgecnn_export.sweep.plan import FIXED, Plan, Point
from edgecnn_runtime.bundle import atomic_write
from edgecnn_runtime.errors import InputError

PLAN, VARIANT = "sweep.json", "variant.json"
T = TypeVar("T")


class Engine(msgspec.Struct, frozen=True):
    """A compiled engine; `weight_bytes` of it are weights, the rest is kernels."""

    file: str
    target: str
    bytes: int
    weight_bytes: int
    seconds: float


class Graph(msgspec.Struct, frozen=True):
    """One precision of a network.

    Attributes:
        top1, top5: share of the held-out images, on the runtime's own path; None where nothing here
            runs this precision.
        sha256: of the ONNX graph, by which a measurement knows what it measured; empty where there
            is none, since it did not give the network's answers.
        kept: layers that stayed in FP32.
        why: what could not be done with it here.
    """

    precision: str
    bytes: int
    sha256: str
    top1: float | None
    top5: float | None
    engines: tuple[Engine, ...] = ()
    kept: int = 0
    why: str = ""


class Features(msgspec.Struct, frozen=True):
    """Counts by which latency is predicted; of one image.

    Attributes:
        layers: with multiply-accumulates.
        macs: of these layers.
        activations: values that they read and write.
        weights: values of their weights.
        pixels: height times width of the input.
    """

    pixels: int
    layers: int
    macs: int
    activations: int
    weights: int


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of a point.

    Attributes:
        features: for prediction.
        made_with: the settings of the plan that decide on the graphs.
        weights: sha256 of those of an existing run, which may be trained on; empty of one's own.
        seconds: of training, of exporting, compiling and judging.
    """

    point: Point
    parameters: int
    macs: int
    features: Features
    run_top1: float
    graphs: tuple[Graph, ...]
    images: int
    made_with: dict[str, Any]
    seconds: dict[str, float]
    weights: str = ""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from a frame to its label, of one precision on one device.

    Attributes:
        where: `here`, or the device as it was named.
        sha256: of the ONNX graph that was measured, or whose engine was.
        preprocess_ms, infer_ms: medians of the stages.
        seconds: that measuring took.
    """

    where: str
    device: str
    backend: str
    sha256: str
    settings: dict[str, Any]
    frames: int
    first_ms: float
    p50: float
    p90: float
    p95: float
    p99: float
    preprocess_ms: float
    infer_ms: float
    seconds: float = 0.0


class Folder:
    """Reads and writes a sweep's files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self, plan: Plan, *, overwrite: bool = False) -> None:
        """Make it, or go on with one of the same plan.

        Raises:
            InputError: it holds something else, a sweep of another network, data or training, or
                what would be overwritten are the runs to take.
        """
        file = self.path / PLAN
        if file.is_file() and overwrite:
            here = self.path.resolve()
            runs = [point.run for point in plan.points if point.run]
            if inside := [run for run in runs if here in Path(run).resolve().parents]:
                raise InputError(
                    f"{inside[0]} lies in {self.path}, which --overwrite removes; name another"
                    " --out"
                )
            shutil.rmtree(self.path)
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file; expected a folder, or none yet")
        if file.is_file():
            before = self._read(file, Plan)
            other = [name for name in FIXED if getattr(before, name) != getattr(plan, name)]
            if plan.supernet and set(before.points) != set(plan.points):
                other.append("grid, which a supernet is trained for as a whole")
            if other:
                raise InputError(
                    f"{self.path} is a sweep of another {other[0]}; name another --out, or replace"
                    " it with --overwrite"
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise InputError(f"{self.path} exists and is no sweep; name another --out")
        self.write(file, plan)

    def at(self, point: Point) -> Path:
        return self.path / point.name

    def run(self, point: Point) -> Path:
        return Path(point.run) if point.run else self.at(point) / "run"

    def bundle(self, point: Point) -> Path:
        return self.at(point) / "bundle"

    def variant(self, point: Point) -> Variant | None:
        file = self.at(point) / VARIANT
        return self._read(file, Variant) if file.is_file() else None

    def latency(self, point: Point, precision: str) -> Latency | None:
        file = self.at(point) / f"latency.{precision}.json"
        return self._read(file, Latency) if file.is_file() else None

    def write_variant(self, variant: Variant) -> None:
        self.write(self.at(variant.point) / VARIANT, variant)

    def write_latency(self, point: Point, precision: str, latency: Latency) -> None:
        self.write(self.at(point) / f"latency.{precision}.json", latency)

    def forget_latency(self, point: Point) -> None:
        """Before it is made anew: what was measured may have been another engine."""
        for file in self.at(point).glob("latency.*.json"):
            file.unlink()

    def write(self, file: Path, content: Any) -> None:
        atomic_write(file, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")

    def _read(self, file: Path, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(file.read_bytes(), type=kind)
        except ValueError as error:
            raise InputError(f"{file} cannot be read: {error}; remove it") from error
