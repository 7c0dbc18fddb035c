"""The proof that artifacts agree: on real images, on colour, on the golden frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import BACKENDS
from edgecnn_runtime.backends.ort import OrtBackend, open_ort
from edgecnn_runtime.bundle import Bundle, read_golden, read_golden_pictures
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.manifest import EngineArtifact, ImageManifest, Input, OnnxArtifact
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]
Answers = NDArray[np.float32]  # (N, classes)

# Largest difference of a probability, FP32 against FP32, as a share of the frame's largest: an
# untrained network of 1,000 classes answers with 0.001 everywhere.
LIMIT = 1e-4
EQUAL = 0.999  # share of a picture's values, FP32 against FP32
BATCH = 16


@dataclass(frozen=True)
class Agreement:
    """How far two sets of answers are apart.

    Attributes:
        max_abs: largest difference of a probability; infinite where one is not a number.
        max_share: the same as a share of the largest probability of its frame.
        top1_agreement: share of frames on which both decide alike; classes that the reference
            holds equal within `LIMIT` count as alike.
    """

    max_abs: float
    max_share: float
    top1_agreement: float
    frames: int

    @property
    def holds(self) -> bool:
        return self.max_share <= LIMIT and self.top1_agreement == 1.0

    def __str__(self) -> str:
        return (
            f"they differ by {self.max_abs:.2e}, {self.max_share:.2e} of the answer (limit"
            f" {LIMIT:.0e}), top-1 agreement {self.top1_agreement:.4f} on {self.frames} frames"
        )


def compare(reference: Answers, answers: Answers) -> Agreement:
    """Compare two sets of probabilities, (N, classes) each."""
    if reference.shape != answers.shape or not np.isfinite(answers).all():
        return Agreement(float("inf"), float("inf"), 0.0, len(reference))
    apart, largest = np.abs(reference - answers).max(1), reference.max(1)
    chosen = np.take_along_axis(reference, answers.argmax(1)[:, None], 1)[:, 0]
    alike = chosen >= largest * (1 - LIMIT)
    return Agreement(
        float(apart.max()), float((apart / largest).max()), float(alike.mean()), len(reference)
    )


def answers_of(backend: OrtBackend, spec: Input, frames: Sequence[Frame]) -> Answers:
    """Run a graph on raw frames, through the device's preprocessing."""
    rows = []
    for start in range(0, len(frames), BATCH):
        batch = [preprocess(frame, spec) for frame in frames[start : start + BATCH]]
        rows.append(backend.infer(np.stack(batch)))
    return np.concatenate(rows)


def parity(graph: Path, spec: Input, frames: Sequence[Frame], reference: Answers) -> Agreement:
    """Compare an ONNX file, run by ONNX Runtime on the CPU, with the training path's answers."""
    backend = open_ort(graph, "onnxruntime")
    try:
        return compare(reference, answers_of(backend, spec, frames))
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
        frames: raw BGR frames; each artifact is compared with the bundle's first graph. Without
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
        reference = _run(bundle, spec, bundle.onnx(), frames, backend)
    verdicts = []
    for artifact in bundle.manifest.artifacts:
        if isinstance(artifact, EngineArtifact):
            needs = f"not run: needs {artifact.target}, {artifact.compiler} {artifact.version}"
            verdicts.append(Verdict(artifact.file, artifact.precision, needs))
            continue
        agreement = compare(reference, _run(bundle, spec, artifact, frames, backend))
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


def _run(
    bundle: Bundle, spec: Input, artifact: OnnxArtifact, frames: Sequence[Frame], backend: str
) -> Answers:
    engine = open_ort(bundle.file(artifact), backend)
    try:
        return answers_of(engine, spec, frames)
    finally:
        engine.close()


@dataclass(frozen=True)
class PictureAgreement:
    """How far two sets of pictures are apart.

    Attributes:
        levels: largest difference, of 255; infinite where a size differs.
        equal: share of the values that are equal.
    """

    levels: float
    equal: float
    frames: int

    @property
    def holds(self) -> bool:
        """Only values that lie between two levels may fall to either side."""
        return self.levels <= 1 and self.equal >= EQUAL

    def __str__(self) -> str:
        return (
            f"they differ by {self.levels:g} of 255 levels (limit 1), and {self.equal:.4%} of the"
            f" values are equal (limit {EQUAL:.1%}) on {self.frames} frames"
        )


def compare_pictures(reference: Sequence[Frame], pictures: Sequence[Frame]) -> PictureAgreement:
    """Compare two sets of pictures, each of its own size."""
    levels, equal, values = 0.0, 0, 0
    for wanted, got in zip(reference, pictures, strict=True):
        if wanted.shape != got.shape:
            return PictureAgreement(float("inf"), 0.0, len(reference))
        apart = np.abs(wanted.astype(np.int16) - got)
        levels = max(levels, float(apart.max()))
        equal, values = equal + int((apart == 0).sum()), values + apart.size
    return PictureAgreement(levels, equal / values, len(reference))


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


def float_session(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Run somebody else's graph as it is: float (N, C, H, W) -> its first output.

    Raises:
        InputError: ONNX Runtime cannot load it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} cannot be run by ONNX Runtime: {reason}") from error
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        answers: NDArray[np.float32] = session.run([output], {name: x})[0]
        return answers

    return run


def takes_a_batch(graph: bytes) -> bool:
    """Whether a graph of ours answers two frames as it answers each alone."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # a graph that fails is an answer here
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    rng = np.random.default_rng(0)
    two = rng.integers(0, 256, (2, *entry.shape[1:]), dtype=np.uint8)
    try:
        both = session.run(None, {entry.name: two})[0]
        each = [session.run(None, {entry.name: one[None]})[0] for one in two]
    except Exception:  # ONNX Runtime has one class of its own for each kind of failure
        return False
    return compare(np.concatenate(each), both).holds
