"""Write a bundle, once its graph has given PyTorch's answers."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import predict_all
from edgecnn_export.agreement import Answers
from edgecnn_export.choice import AUTO, Choice, choose
from edgecnn_export.frame_graph import levels_apart, takes_frames
from edgecnn_export.graph_file import opset_of, write_graph
from edgecnn_export.parity import prove
from edgecnn_export.precisions import convert, spread
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import DEFAULT, GraphOptions
from edgecnn_runtime import __version__
from edgecnn_runtime.bundle import Golden, staged_folder, write_manifest
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.camera.image import resize_frame
from edgecnn_runtime.errors import CheckFailedError, InputError
from edgecnn_runtime.manifest import File, Input, Manifest, OnnxArtifact
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]

REAL_IMAGES = 256  # of the validation split
COLOUR_CROPS = 64
GOLDEN_REAL, GOLDEN_COLOUR = 6, 10
GOLDEN_BYTES = 2**24  # of camera frames: fewer of them where they are large
CAMERA_FRAMES = 64  # on which a graph that takes frames as they are is tried


@dataclass(frozen=True)
class ParityFigures:
    """Of a graph against PyTorch; `max_share` is `max_abs` as a share of the answer."""

    max_abs: float
    top1_agreement: float
    frames: int
    max_share: float


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
class _Shown:
    """What graphs are tried on: frames, the first `real` of them of the data, and the answers."""

    frames: list[Frame]
    real: int
    answers: Answers


@dataclass(frozen=True)
class ExportResult:
    """What `edgecnn export` answers with.

    Attributes:
        exporter: of PyTorch, that made the graph; None where the graph was there already.
        remarks: why it was not the first one, and what it could not do.
    """

    bundle: str
    weights: str
    artifacts: list[Exported]
    exporter: str | None = None
    remarks: tuple[str, ...] = ()


def export(
    source: Source,
    out: Path,
    *,
    data: str | None = None,
    options: GraphOptions = DEFAULT,
    precisions: Sequence[str] = ("fp32",),
    exporter: str = AUTO,
    colour: int = COLOUR_CROPS,
) -> ExportResult:
    """Export a model into a bundle.

    Args:
        data: DATA for the parity on real images; by default what the model was trained on.
        options: what the graphs are to look like.
        precisions: a graph of each, in this order; the runtime opens the first.
        exporter: of PyTorch, one of `EXPORTERS`; by default the first whose graph agrees.
        colour: crops of colour photographs on which parity is measured, beside the data.

    Raises:
        CheckFailedError: a graph does not give the training path's answers; nothing is written.
        InputError: `out` holds something else, `data` cannot be read.
    """
    shown = _shown(source, _real_frames(source, data), colour_crops(colour))
    chosen = choose(source, options, shown.frames, shown.answers, exporter)
    spec, camera = source.spec, None
    if options.frame is not None:
        spec = msgspec.structs.replace(spec, frame=options.frame)
        camera = _camera(source, spec, shown)
    artifacts, exported = [], []
    with staged_folder(out, marker="manifest.json") as staging:
        for precision in precisions:
            file = staging / f"model.{precision}.onnx"
            made = convert(precision, chosen.graph, source.spec, shown.frames)
            weights = write_graph(made.graph, file)
            agreement = chosen.agreement
            if precision != "fp32":
                agreement = prove(
                    made.graph, file, source.spec, shown.frames, shown.answers, precision
                )
            if camera and agreement.holds:
                whole = takes_frames(made.graph, spec)
                weights = write_graph(whole, file)
                agreement = prove(whole, file, spec, camera.frames, camera.answers, precision)
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
            figures = ParityFigures(
                agreement.max_abs,
                agreement.top1_agreement,
                agreement.frames,
                agreement.max_share,
            )
            artifacts.append(artifact)
            size = artifact.bytes + (artifact.data.bytes if artifact.data else 0)
            exported.append(Exported(artifact.file, precision, size, figures, artifact.kept))
        golden_file = staging / "golden.npz"
        golden_file.write_bytes(_golden(source.spec, camera or shown).to_bytes())
        manifest = Manifest(
            model=source.model,
            input=spec,
            labels=source.labels,
            weights=source.weights,
            artifacts=tuple(artifacts),
            golden=File(**file_entry(golden_file)),
            metrics=source.metrics,
            provenance=_provenance(source, data, exported, chosen, colour),
        )
        write_manifest(staging, manifest)
    return ExportResult(str(out), source.weights, exported, chosen.exporter, chosen.remarks)


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


def _shown(source: Source, real: list[Frame], colour: list[Frame]) -> _Shown:
    frames = [*real, *colour]
    return _Shown(frames, len(real), predict_all(source.predict, frames))


def _camera(source: Source, spec: Input, shown: _Shown) -> _Shown:
    """Frames as a camera of that size gives them, on which its preprocessing is proved first.

    Raises:
        CheckFailedError: the graph's preprocessing is off by more than a level.
    """
    assert spec.frame is not None
    real, colour = shown.frames[: shown.real], shown.frames[shown.real :]
    few = spread(real, CAMERA_FRAMES // 2)
    few, count = [*few, *spread(colour, CAMERA_FRAMES - len(few))], len(few)
    frames = [resize_frame(frame, *spec.frame) for frame in few]
    apart = levels_apart(spec, frames)
    if apart > 1:
        raise CheckFailedError(
            f"preprocessing in the graph differs from the workstation's by {apart} of 255 levels,"
            " expected at most 1; export without --frame"
        )
    return _shown(source, frames[:count], frames[count:])


def _golden(spec: Input, shown: _Shown) -> Golden:
    room = max(2, min(GOLDEN_REAL + GOLDEN_COLOUR, GOLDEN_BYTES // shown.frames[-1].nbytes))
    count = len(shown.frames)
    chosen = spread(range(shown.real), room * GOLDEN_REAL // (GOLDEN_REAL + GOLDEN_COLOUR))
    chosen += range(shown.real, min(count, shown.real + room - len(chosen)))
    frames = tuple(shown.frames[i] for i in chosen)
    inputs = np.stack([preprocess(frame, spec) for frame in frames])
    return Golden(frames, inputs, shown.answers[chosen])


def _provenance(
    source: Source,
    data: str | None,
    exported: Sequence[Exported],
    chosen: Choice,
    colour: int,
) -> dict[str, object]:
    made: dict[str, object] = {**source.provenance, **made_with(opset_of(chosen.graph))}
    if chosen.exporter:
        made["exporter"] = {"name": chosen.exporter, "remarks": chosen.remarks}
    return {
        **made,
        "parity": {
            "data": data or source.data,
            "colour_crops": colour,
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
