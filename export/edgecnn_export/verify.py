"""The proof that artifacts agree: on the golden frames, on real images, on colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace

from edgecnn_export.agreement import Frame
from edgecnn_export.causes import other_preprocessing
from edgecnn_export.comparison import Comparison
from edgecnn_export.findings import DIFFERS, Report, Verdict
from edgecnn_export.outputs import inputs_of, same_pictures
from edgecnn_export.pictures import verify_pictures
from edgecnn_runtime import backends
from edgecnn_runtime.backends import BACKENDS, Backend
from edgecnn_runtime.bundle import Bundle, read_golden
from edgecnn_runtime.errors import BackendError, InputError, NoKernelError, unknown_name
from edgecnn_runtime.manifest import Artifact, EngineArtifact, ImageManifest, OnnxArtifact

Open = Callable[[Bundle, Artifact, str], Backend]


def open_artifact(bundle: Bundle, artifact: Artifact, name: str) -> Backend:
    """Open any artifact as the runtime does; half precision is rounded as on a GPU.

    That needs onnx. Without, as on a device, a graph answers as it does there.

    Raises:
        BackendError: it cannot run here; the message tells what it needs.
        BundleError: the file is missing or altered.
    """
    if isinstance(artifact, OnnxArtifact) and name == "onnxruntime":
        with suppress(ModuleNotFoundError):
            from edgecnn_export.emulate import open_rounded

            return open_rounded(bundle.file(artifact), artifact.precision)
    return backends.open_artifact(bundle, artifact, name)


def verify(
    bundle: Bundle,
    frames: Sequence[Frame] | None = None,
    backend: str = "onnxruntime",
    opener: Open = open_artifact,
) -> Report:
    """Run every artifact of a bundle that runs here, and compare its answers.

    All are held to the workstation's answers to the golden frames, and all but the first to the
    first one's answers to `frames`: by these alone, a wrong first artifact would be believed.

    Args:
        frames: raw BGR frames, beside the golden ones. Stretched to the camera's size where the
            graphs take frames as they are.
        backend: what runs the ONNX graphs.
        opener: opens any artifact, or raises a BackendError that tells what it needs.

    Raises:
        BackendError: nothing of the bundle runs here.
        BundleError: a file is missing or altered, or there is nothing to compare with.
        InputError: no such backend, no frames.
    """
    _check_arguments(frames, backend)
    bundle.check()
    if isinstance(bundle.manifest, ImageManifest):
        return verify_pictures(bundle, bundle.manifest, frames, backend)
    manifest = bundle.manifest
    golden = read_golden(bundle) if frames is None or manifest.golden else None
    inputs = None if frames is None else inputs_of(frames, manifest.input)
    comparison, verdicts = Comparison(golden), []
    for artifact in manifest.artifacts:
        if stale := _stale(bundle, artifact):
            verdicts.append(stale)
            continue
        try:
            engine = opener(bundle, artifact, backend)
        except BackendError as error:
            reason = error.reason if isinstance(error, NoKernelError) else str(error)
            verdicts.append(Verdict(artifact.file, artifact.precision, f"not run: {reason}"))
            continue
        with closing(engine):
            verdicts.append(comparison.verdict(manifest, artifact, engine, inputs))
    if not any(v.ran for v in verdicts):
        raise BackendError(f"{bundle.path}: {verdicts[0].file} {verdicts[0].status}")
    if golden is None:
        return Report(verdicts)
    return Report(verdicts, other_preprocessing(manifest.input, golden.frames, golden.inputs))


def _stale(bundle: Bundle, artifact: Artifact) -> Verdict | None:
    """An engine of another graph than the bundle has: that can be told without running it."""
    graphs = {graph.sha256 for graph in bundle.manifest.onnx}
    if not isinstance(artifact, EngineArtifact) or not graphs or artifact.onnx_sha256 in graphs:
        return None
    reason = "it was compiled from another graph than the bundle has; compile it again"
    return Verdict(artifact.file, artifact.precision, DIFFERS, reason)


def verify_against(
    bundle: Bundle,
    other: Bundle,
    frames: Sequence[Frame] | None = None,
    backend: str = "onnxruntime",
    opener: Open = open_artifact,
) -> Report:
    """Compare the first artifacts of two bundles of one network, each with its own preprocessing.

    Args:
        frames: raw BGR frames; the first bundle's golden ones by default.

    Raises:
        BackendError: one of them does not run here.
        BundleError: a file is missing or altered, or a bundle answers with pictures.
        InputError: the bundles answer with other labels.
    """
    _check_arguments(frames, backend)
    if bundle.classifier().labels != other.classifier().labels:
        raise InputError(
            f"{bundle.path} and {other.path} answer with other labels; expected two bundles of one"
            " network"
        )
    frames = read_golden(bundle).frames if frames is None else frames
    frames = same_pictures(frames, bundle.classifier().input, other.classifier().input)
    comparison, verdicts = Comparison(), []
    for each in (bundle, other):
        each.check()
        manifest = each.classifier()
        artifact = manifest.artifacts[0]
        with closing(opener(each, artifact, backend)) as engine:
            inputs = inputs_of(frames, manifest.input)
            verdict = comparison.verdict(manifest, artifact, engine, inputs)
        verdicts.append(replace(verdict, file=str(each.path / artifact.file)))
    return Report(verdicts)


def _check_arguments(frames: Sequence[Frame] | None, backend: str) -> None:
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if frames is not None and not frames:
        raise InputError("no frames to verify with; expected at least one image")
