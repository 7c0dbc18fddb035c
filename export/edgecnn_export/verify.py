"""The proof that artifacts agree: on real images, on colour, on the golden frames."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn_export.agreement import (
    Agreement,
    Answers,
    Frame,
    compare,
    compare_pictures,
)
from edgecnn_runtime.backends import BACKENDS
from edgecnn_runtime.backends.ort import OrtBackend, open_ort
from edgecnn_runtime.bundle import Bundle, read_golden, read_golden_pictures
from edgecnn_runtime.camera.image import resize_frame
from edgecnn_runtime.errors import InputError, NoKernelError, unknown_name
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.manifest import EngineArtifact, ImageManifest, Input, OnnxArtifact
from edgecnn_runtime.preprocess import graph_input, preprocess

BATCH = 16


def answers_of(backend: OrtBackend, spec: Input, frames: Sequence[Frame]) -> Answers:
    """Run a graph on raw frames, through the device's preprocessing or its own."""
    rows = []
    for start in range(0, len(frames), BATCH):
        batch = [graph_input(frame, spec) for frame in frames[start : start + BATCH]]
        rows.append(backend.infer(np.stack(batch)))
    return np.concatenate(rows)


def parity(
    graph: Path,
    spec: Input,
    frames: Sequence[Frame],
    reference: Answers,
    precision: str = "fp32",
) -> Agreement:
    """Compare an ONNX file, run by ONNX Runtime on the CPU, with the training path's answers."""
    backend = open_ort(graph, "onnxruntime")
    try:
        answers = answers_of(backend, spec, frames)
        return compare(reference, answers, precision, takes_frames=spec.frame is not None)
    finally:
        backend.close()


@dataclass(frozen=True)
class Verdict:
    """One artifact of a bundle.

    Attributes:
        status: `agrees`, `differs`, or `not run: needs ...`.
        max_abs, top1_agreement: None where it was not run. Of pictures, `max_abs` is in grey levels
            and instead of a top-1 agreement there is `equal`, the share of values that are equal.
    """

    file: str
    precision: str
    status: str
    frames: int = 0
    max_abs: float | None = None
    top1_agreement: float | None = None
    equal: float | None = None


def verify(
    bundle: Bundle, frames: Sequence[Frame] | None = None, backend: str = "onnxruntime"
) -> list[Verdict]:
    """Run every artifact of a bundle that runs here, and compare its answers.

    Args:
        frames: raw BGR frames; each artifact is compared with the bundle's first graph that runs
            here. Stretched to the camera's size where the graphs take frames as they are. Without
            them the bundle's golden frames are used, with the answers that they carry.

    Raises:
        BundleError: a file is missing or altered, or there are no golden frames.
        InputError: no such backend.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    bundle.check()
    if isinstance(bundle.manifest, ImageManifest):
        return verify_pictures(bundle, bundle.manifest, frames, backend)
    spec = bundle.manifest.input
    if frames is None:
        golden = read_golden(bundle)
        frames, reference = golden.frames, golden.probabilities
        _check_inputs(spec, golden.frames, golden.inputs)
    else:
        if not frames:
            raise InputError("no frames to verify with")
        if spec.frame:
            frames = [resize_frame(frame, *spec.frame) for frame in frames]
        reference = _run_first(bundle, spec, frames, backend)
    verdicts = []
    for artifact in bundle.manifest.artifacts:
        if isinstance(artifact, EngineArtifact):
            needs = f"not run: needs {artifact.target}, {artifact.compiler} {artifact.version}"
            verdicts.append(Verdict(artifact.file, artifact.precision, needs))
            continue
        try:
            answers = _run(bundle, spec, artifact, frames, backend)
        except NoKernelError as error:
            verdicts.append(Verdict(artifact.file, artifact.precision, f"not run: {error.reason}"))
            continue
        agreement = compare(
            reference, answers, artifact.precision, takes_frames=spec.frame is not None
        )
        verdicts.append(
            Verdict(
                artifact.file,
                artifact.precision,
                "agrees" if agreement.holds else "differs",
                agreement.frames,
                agreement.max_abs,
                agreement.top1_agreement,
            )
        )
    return verdicts


def _run_first(bundle: Bundle, spec: Input, frames: Sequence[Frame], backend: str) -> Answers:
    """The answers of the first graph that runs here."""
    *others, last = bundle.manifest.onnx
    for artifact in others:
        with suppress(NoKernelError):
            return _run(bundle, spec, artifact, frames, backend)
    return _run(bundle, spec, last, frames, backend)


def _run(
    bundle: Bundle, spec: Input, artifact: OnnxArtifact, frames: Sequence[Frame], backend: str
) -> Answers:
    engine = open_ort(bundle.file(artifact), backend)
    try:
        return answers_of(engine, spec, frames)
    finally:
        engine.close()


def pictures_of(
    graph: Path, manifest: ImageManifest, frames: Sequence[Frame], backend: str
) -> list[Frame]:
    """Run a filter's graph on raw frames, each of its own size."""
    with ImageFilter(manifest, open_ort(graph, backend)) as show:
        return [show.infer(show.preprocess(frame)[None])[0] for frame in frames]


def batch_of(graph: Path, manifest: ImageManifest, frames: Sequence[Frame]) -> list[Frame]:
    """Run a filter's graph on raw frames of one size as one batch."""
    with ImageFilter(manifest, open_ort(graph, "onnxruntime")) as show:
        return list(show.infer(np.stack([show.preprocess(frame) for frame in frames])))


def verify_pictures(
    bundle: Bundle, manifest: ImageManifest, frames: Sequence[Frame] | None, backend: str
) -> list[Verdict]:
    """`verify` for a bundle that answers with pictures."""
    if frames is None:
        golden = read_golden_pictures(bundle)
        frames, reference = golden.frames, list(golden.pictures)
    else:
        reference = pictures_of(bundle.file(bundle.onnx()), manifest, frames, backend)
    verdicts = []
    for artifact in manifest.onnx:
        pictures = pictures_of(bundle.file(artifact), manifest, frames, backend)
        agreement = compare_pictures(reference, pictures)
        status = "agrees" if agreement.holds else "differs"
        verdicts.append(
            Verdict(
                artifact.file,
                artifact.precision,
                status,
                agreement.frames,
                agreement.levels,
                equal=agreement.equal,
            )
        )
    return verdicts


def _check_inputs(spec: Input, frames: Sequence[Frame], inputs: Frame) -> None:
    """The device's preprocessing must give what the workstation's gave, to a grey level.

    Another version of OpenCV may round differently; two levels would be another filter.
    """
    for index, (frame, expected) in enumerate(zip(frames, inputs, strict=True)):
        found = preprocess(frame, spec)
        apart = int(np.abs(found.astype(np.int16) - expected).max())
        if apart > 1:
            raise InputError(
                f"preprocessing differs from the workstation's: frame {index} by {apart} of 255"
                " levels, expected at most 1; install the OpenCV and Pillow that edgecnn asks for"
            )
