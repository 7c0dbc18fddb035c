"""Write a bundle, once its graph has given PyTorch's answers."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import predict_all
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import OPSET
from edgecnn_export.verify import Agreement, parity
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
    """One graph of the bundle."""

    file: str
    precision: str
    bytes: int
    parity: ParityFigures


@dataclass(frozen=True)
class ExportResult:
    """What `edgecnn export` answers with."""

    bundle: str
    weights: str
    artifacts: list[Exported]


def export(
    source: Source, out: Path, *, data: str | None = None, opset: int = OPSET
) -> ExportResult:
    """Export a model into a bundle.

    Args:
        data: DATA for the parity on real images; by default what the model was trained on.

    Raises:
        CheckFailedError: the graph does not give the training path's answers; nothing is written.
        InputError: `out` holds something else, `data` cannot be read.
    """
    frames = _real_frames(source, data)
    crops = colour_crops(COLOUR_CROPS)
    everything = [*frames, *crops]
    reference = predict_all(source.predict, everything)
    with staged_folder(out, marker="manifest.json") as staging:
        name = "model.fp32.onnx"
        (staging / name).write_bytes(source.graph(opset))
        agreement = parity(staging / name, source.spec, everything, reference)
        if not agreement.holds:
            raise CheckFailedError(
                f"the ONNX graph does not give the model's answers: {agreement}; {out} was not"
                " written"
            )
        golden = _golden(source, frames, crops)
        (staging / "golden.npz").write_bytes(golden.to_bytes())
        graph, frames_file = staging / name, staging / "golden.npz"
        artifact = OnnxArtifact(
            file=name, sha256=sha256(graph), bytes=graph.stat().st_size, precision="fp32"
        )
        manifest = Manifest(
            model=source.model,
            input=source.spec,
            labels=source.labels,
            weights=source.weights,
            artifacts=(artifact,),
            golden=File(
                file=frames_file.name,
                sha256=sha256(frames_file),
                bytes=frames_file.stat().st_size,
            ),
            metrics=source.metrics,
            provenance=_provenance(source, data, agreement, opset),
        )
        write_manifest(staging, manifest)
    figures = ParityFigures(agreement.max_abs, agreement.top1_agreement, agreement.frames)
    exported = Exported(name, "fp32", artifact.bytes, figures)
    return ExportResult(str(out), source.weights, [exported])


def _real_frames(source: Source, data: str | None) -> list[Frame]:
    """Validation images; colour crops stand in where the model has no data of its own."""
    name = data or source.data
    if name is None:
        return []
    try:
        loaded = load_data(name, int(source.provenance.get("seed", 0)))
    except InputError as error:
        if data is None:
            raise InputError(
                f"{error}; the run was trained on it: name it anew with --data"
            ) from error
        raise
    return list(some_frames(loaded.val, REAL_IMAGES))


def _golden(source: Source, frames: list[Frame], crops: list[Frame]) -> Golden:
    count = min(GOLDEN_REAL, len(frames))
    chosen = [frames[i * len(frames) // count] for i in range(count)]
    chosen += crops[: GOLDEN_REAL + GOLDEN_COLOUR - count]
    inputs = np.stack([preprocess(frame, source.spec) for frame in chosen])
    return Golden(tuple(chosen), inputs, predict_all(source.predict, chosen))


def _provenance(
    source: Source, data: str | None, agreement: Agreement, opset: int
) -> dict[str, object]:
    return {
        **source.provenance,
        **made_with(opset),
        "parity": {
            "data": data or source.data,
            "colour_crops": COLOUR_CROPS,
            "max_abs": agreement.max_abs,
            "top1_agreement": agreement.top1_agreement,
        },
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
