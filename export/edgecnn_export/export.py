"""Write a bundle, once its graph has given PyTorch's answers."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import predict_all
from edgecnn_export.graph_file import write_graph
from edgecnn_export.precisions import convert, spread
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import DEFAULT, GraphOptions
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
    """

    file: str
    precision: str
    bytes: int
    parity: ParityFigures
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportResult:
    """What `edgecnn export` answers with."""

    bundle: str
    weights: str
    artifacts: list[Exported]


def export(
    source: Source,
    out: Path,
    *,
    data: str | None = None,
    options: GraphOptions = DEFAULT,
    precisions: Sequence[str] = ("fp32",),
) -> ExportResult:
    """Export a model into a bundle.

    Args:
        data: DATA for the parity on real images; by default what the model was trained on.
        options: what the graphs are to look like.
        precisions: a graph of each, in this order; the runtime opens the first.

    Raises:
        CheckFailedError: a graph does not give the training path's answers; nothing is written.
        InputError: `out` holds something else, `data` cannot be read.
    """
    frames = _real_frames(source, data)
    crops = colour_crops(COLOUR_CROPS)
    everything = [*frames, *crops]
    reference = predict_all(source.predict, everything)
    graph = source.graph(options)
    artifacts, exported = [], []
    with staged_folder(out, marker="manifest.json") as staging:
        for precision in precisions:
            file = staging / f"model.{precision}.onnx"
            made = convert(precision, graph, source.spec, everything)
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
            exported.append(Exported(artifact.file, precision, size, figures, artifact.kept))
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
    return ExportResult(str(out), source.weights, exported)


def file_entry(path: Path) -> dict[str, Any]:
    """What the manifest says of every file."""
    return {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}


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
