"""Write a bundle, once its graph has given PyTorch's answers."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecnn.data import DataSet, colour_crops, load_data
from edgecnn.data.splits import Split, some_frames
from edgecnn.evaluation.predict import predict_all
from edgecnn_export.agreement import Agreement, Answers
from edgecnn_export.choice import AUTO, Choice, choose
from edgecnn_export.fine_tune import fine_tuning
from edgecnn_export.frame_graph import levels_apart, takes_frames
from edgecnn_export.graph_file import opset_of, write_graph
from edgecnn_export.int8 import DEFAULT as DEFAULT_INT8
from edgecnn_export.int8 import Int8, Int8Options
from edgecnn_export.material import held_out, material
from edgecnn_export.parity import parity
from edgecnn_export.precisions import INT8, Calibration, LayerCost, convert, spread
from edgecnn_export.sources import Source
from edgecnn_export.to_onnx import DEFAULT, GraphOptions
from edgecnn_export.verdict import Verdict, verdict
from edgecnn_runtime import __version__
from edgecnn_runtime.bundle import Golden, staged_folder, write_manifest
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.camera.image import resize_frame
from edgecnn_runtime.errors import CheckFailedError, InputError
from edgecnn_runtime.manifest import File, Input, Manifest, OnnxArtifact
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]

REAL_IMAGES = 256  # of the validation split; fewer where they are large, but at least
FEWEST_IMAGES, REAL_BYTES = 16, 2**29
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
        calibration: of INT8.
    """

    file: str
    precision: str
    bytes: int
    parity: ParityFigures
    kept: tuple[str, ...] = ()
    calibration: Calibration | None = None


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
        sensitivity: what each layer costs in INT8, where that was looked at.
        verdict: which precision to use here; where there are several and labelled images.
        exporter: of PyTorch, that made the graph; None where the graph was there already.
        remarks: why it was not the first one, and what it could not do.
    """

    bundle: str
    weights: str
    artifacts: list[Exported]
    sensitivity: list[LayerCost] = field(default_factory=list)
    verdict: Verdict | None = None
    exporter: str | None = None
    remarks: tuple[str, ...] = ()


def export(
    source: Source,
    out: Path,
    *,
    data: str | None = None,
    options: GraphOptions = DEFAULT,
    precisions: Sequence[str] = ("fp32",),
    int8: Int8Options = DEFAULT_INT8,
    exporter: str = AUTO,
    colour: int = COLOUR_CROPS,
    advise: bool = True,
) -> ExportResult:
    """Export a model into a bundle.

    Args:
        data: DATA for calibration, parity and verdict on real images; by default what the model was
            trained on.
        options: what the graphs are to look like.
        precisions: a graph of each, in this order; the runtime opens the first.
        int8: how INT8 is made, where it is among the precisions.
        exporter: of PyTorch, one of `EXPORTERS`; by default the first whose graph agrees.
        colour: crops of colour photographs on which parity is measured, beside the data.
        advise: find out which precision to use here, which takes seconds.

    Raises:
        CheckFailedError: a graph does not give the training path's answers; nothing is written.
        InputError: `out` holds something else, `data` cannot be read.
    """
    loaded = _load(source, data)
    real = _real_images(loaded.val) if loaded else []
    shown = _shown(source, real, colour_crops(colour))
    choice = _choice(source, options, shown, exporter, out)
    graph, options = choice.graph, choice.options
    spec, camera = source.spec, None
    if options.frame is not None:
        spec = msgspec.structs.replace(spec, frame=options.frame)
        camera = _camera(source, spec, shown)
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
                made = convert(precision, graph, source.spec, shown.frames)
            costs = costs or made.sensitivity
            weights = write_graph(made.graph, file)
            agreement = choice.agreement
            if precision != "fp32":
                agreement = parity(file, source.spec, shown.frames, shown.answers, precision)
            if camera and agreement.holds:
                whole = takes_frames(made.graph, spec)
                weights = write_graph(whole, file)
                agreement = parity(file, spec, camera.frames, camera.answers, precision)
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
            artifacts.append(artifact)
            size = artifact.bytes + (artifact.data.bytes if artifact.data else 0)
            exported.append(
                Exported(
                    artifact.file,
                    precision,
                    size,
                    _figures(agreement),
                    artifact.kept,
                    made.calibration,
                )
            )
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
            provenance=_provenance(source, data, exported, choice, colour),
        )
        write_manifest(staging, manifest)
        chosen = None
        files = {a.precision: staging / a.file for a in artifacts if a.precision != "bf16"}
        # No CPU runs BF16; and the judges are frames that were preprocessed already.
        choosing = advise and len(files) > 1 and camera is None
        if choosing and judges and judges.targets is not None:
            chosen = verdict(files, judges, int8.allowed)
    return ExportResult(
        str(out), source.weights, exported, list(costs), chosen, choice.exporter, choice.remarks
    )


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


def _real_images(split: Split) -> list[Frame]:
    fitting = REAL_BYTES // split.frame(0).nbytes
    return list(some_frames(split, min(REAL_IMAGES, max(FEWEST_IMAGES, fitting))))


def _shown(source: Source, real: list[Frame], colour: list[Frame]) -> _Shown:
    frames = [*real, *colour]
    return _Shown(frames, len(real), predict_all(source.predict, frames))


def _choice(
    source: Source, options: GraphOptions, shown: _Shown, exporter: str, out: Path
) -> Choice:
    try:
        return choose(source, options, shown.frames, shown.answers, exporter)
    except CheckFailedError as error:
        raise CheckFailedError(f"{error}; {out} was not written") from error


def _figures(found: Agreement) -> ParityFigures:
    return ParityFigures(found.max_abs, found.top1_agreement, found.frames, found.max_share)


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
    choice: Choice,
    colour: int,
) -> dict[str, object]:
    exporter: dict[str, object] = {}
    if choice.exporter:
        exporter = {"exporter": {"name": choice.exporter, "remarks": choice.remarks}}
    return {
        **source.provenance,
        **made_with(opset_of(choice.graph)),
        **exporter,
        "parity": {
            "data": data or source.data,
            "colour_crops": colour,
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
