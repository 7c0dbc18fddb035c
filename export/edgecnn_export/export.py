"""Write a bundle, once its graph has given PyTorch's answers."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.data import DataSet, colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import predict_all
from edgecnn_export.fine_tune import fine_tuning
from edgecnn_export.graph_file import write_graph
from edgecnn_export.int8 import DEFAULT as DEFAULT_INT8
from edgecnn_export.int8 import Int8, Int8Options
from edgecnn_export.material import held_out, material
from edgecnn_export.precisions import INT8, Calibration, LayerCost, convert, spread
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import DEFAULT, GraphOptions
from edgecnn_export.verdict import Verdict, verdict
from edgecnn_export.verify import parity
from edgecnn_runtime import __version__
from edgecnn_runtime.bundle import Golden, staged_folder, write_manifest
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.errors import CheckFailedError, InputError
from edgecnn_runtime.manifest import File, Manifest, OnnxArtifact
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]

REAL_IMAGES = 256  # of the validation split
COLOUR_CROPS = 64
GOLDEN_REAL, GOLDEN_COLOUR = 6, 10


@dataclass(frozen=True)
class ParityFigures:
    """Of a graph against PyTorch."""

    max_abs: float
    top1_agreement: float
    frames: int


@dataclass(frozen=True)
class Exported:
    """One graph of the bundle.

    Attributes:
        bytes: with its weights, where these lie in a file beside it.
        kept: nodes that stay in FP32 all the same.
        calibration: of INT8.
    """

    file: str
    precision: str
    bytes: int
    parity: ParityFigures
    kept: tuple[str, ...] = ()
    calibration: Calibration | None = None


@dataclass(frozen=True)
class ExportResult:
    """What `edgecnn export` answers with.

    Attributes:
        sensitivity: what each layer costs in INT8, where that was looked at.
        verdict: which precision to use here; where there are several and labelled images.
    """

    bundle: str
    weights: str
    artifacts: list[Exported]
    sensitivity: list[LayerCost] = field(default_factory=list)
    verdict: Verdict | None = None


def export(
    source: Source,
    out: Path,
    *,
    data: str | None = None,
    options: GraphOptions = DEFAULT,
    precisions: Sequence[str] = ("fp32",),
    int8: Int8Options = DEFAULT_INT8,
) -> ExportResult:
    """Export a model into a bundle.

    Args:
        data: DATA for calibration, parity and verdict on real images; by default what the model was
            trained on.
        options: what the graphs are to look like.
        precisions: a graph of each, in this order; the runtime opens the first.
        int8: how INT8 is made, where it is among the precisions.

    Raises:
        CheckFailedError: a graph does not give the training path's answers; nothing is written.
        InputError: `out` holds something else, `data` cannot be read.
    """
    loaded = _load(source, data)
    frames = list(some_frames(loaded.val, REAL_IMAGES)) if loaded else []
    crops = colour_crops(COLOUR_CROPS)
    everything = [*frames, *crops]
    reference = predict_all(source.predict, everything)
    graph = source.graph(options)
    eight_bits = [precision for precision in precisions if precision in INT8]
    judges = eight = None
    if eight_bits or len(precisions) > 1:
        judges = held_out(graph, source.spec, source.labels, loaded)
    if eight_bits and judges:
        tune = fine_tuning(source, loaded, options, int8.qat_epochs) if int8.qat_epochs else None
        images = material(source.spec, loaded, int8.images, judges)
        eight = Int8(graph, images, eight_bits, int8, tune)
    artifacts, exported = [], []
    costs: tuple[LayerCost, ...] = ()
    with staged_folder(out, marker="manifest.json") as staging:
        for precision in precisions:
            file = staging / f"model.{precision}.onnx"
            if eight and precision in INT8:
                made = eight.make(precision)
            else:
                made = convert(precision, graph, source.spec, everything)
            costs = costs or made.sensitivity
            weights = write_graph(made.graph, file)
            agreement = parity(file, source.spec, everything, reference, precision)
            if not agreement.holds:
                raise CheckFailedError(
                    f"the {precision} graph does not give the model's answers: {agreement}; {out}"
                    " was not written"
                )
            artifact = OnnxArtifact(
                **file_entry(file),
                precision=precision,
                kept=made.kept,
                data=File(**file_entry(weights)) if weights else None,
            )
            figures = ParityFigures(agreement.max_abs, agreement.top1_agreement, agreement.frames)
            artifacts.append(artifact)
            size = artifact.bytes + (artifact.data.bytes if artifact.data else 0)
            exported.append(
                Exported(artifact.file, precision, size, figures, artifact.kept, made.calibration)
            )
        golden_file = staging / "golden.npz"
        golden_file.write_bytes(_golden(source, frames, crops).to_bytes())
        manifest = Manifest(
            model=source.model,
            input=source.spec,
            labels=source.labels,
            weights=source.weights,
            artifacts=tuple(artifacts),
            golden=File(**file_entry(golden_file)),
            metrics=source.metrics,
            provenance=_provenance(source, data, exported, options.opset),
        )
        write_manifest(staging, manifest)
        chosen = None
        if judges and judges.targets is not None and len(artifacts) > 1:
            files = {artifact.precision: staging / artifact.file for artifact in artifacts}
            chosen = verdict(files, judges, int8.allowed)
    return ExportResult(str(out), source.weights, exported, list(costs), chosen)


def file_entry(path: Path) -> dict[str, Any]:
    """What the manifest says of every file."""
    return {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}


def _load(source: Source, data: str | None) -> DataSet | None:
    """Real images; colour crops stand in where the model has no data of its own."""
    name = data or source.data
    if name is None:
        return None
    try:
        return load_data(name, int(source.provenance.get("seed", 0)))
    except InputError as error:
        if data is None:
            raise InputError(
                f"{error}; the run was trained on it: name it anew with --data"
            ) from error
        raise


def _golden(source: Source, frames: list[Frame], crops: list[Frame]) -> Golden:
    chosen = spread(frames, GOLDEN_REAL)
    chosen += crops[: GOLDEN_REAL + GOLDEN_COLOUR - len(chosen)]
    inputs = np.stack([preprocess(frame, source.spec) for frame in chosen])
    return Golden(tuple(chosen), inputs, predict_all(source.predict, chosen))


def _provenance(
    source: Source, data: str | None, exported: Sequence[Exported], opset: int
) -> dict[str, object]:
    return {
        **source.provenance,
        **made_with(opset),
        "parity": {
            "data": data or source.data,
            "colour_crops": COLOUR_CROPS,
            **{graph.precision: asdict(graph.parity) for graph in exported},
        },
        "calibration": {g.precision: asdict(g.calibration) for g in exported if g.calibration},
    }


def made_with(opset: int) -> dict[str, object]:
    """When and with which versions a bundle was made."""
    names = ("torch", "onnx", "onnxruntime", "numpy")
    installed = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    return {
        "edgecnn": __version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: installed[name] for name in names if name in installed},
        "opset": opset,
    }
