"""Open a graph or an engine that lies outside of a bundle, with the manifest that describes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn_runtime.backends import BACKENDS, ENGINE_BACKENDS, Backend
from edgecnn_runtime.bundle import Bundle
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError, BundleError, InputError, unknown_name
from edgecnn_runtime.manifest import EngineArtifact, ImageManifest, Manifest, decode

if TYPE_CHECKING:
    from edgecnn_runtime.backends.engine import EngineBackend
    from edgecnn_runtime.backends.identity import Here


def open_file(
    path: str | Path, manifest: str | Path | None = None, *, backend: str = "auto"
) -> Classifier:
    """Open a file that bears its input and labels in a manifest, as `Classifier.open` a bundle.

    Nothing is fallen back to: what runs is this file.

    Args:
        path: an ONNX graph that was exported, or an engine that was compiled from one, by edgecnn.
        manifest: of the bundle that it came from; `manifest.json` beside it by default. An engine
            must be one of those that it lists, to the byte; a graph may be another.
        backend: `auto`, or one of `BACKENDS` that runs such a file.

    Raises:
        InputError: there is no such file, no manifest, or one of pictures.
        BundleError: the engine is none that the manifest lists.
        BackendError: it cannot run here; the message tells what it needs and what is here.
    """
    path = Path(path)
    if not path.is_file():
        what = "an engine that 'edgecnn compile' made" if _is_engine(path) else "an ONNX graph"
        raise InputError(f"no file {path}; expected {what}")
    file = Path(manifest) if manifest else path.with_name("manifest.json")
    described = _read(path, file)
    if _is_engine(path):
        opened: Backend = _engine(path, file, described, backend)
    else:
        from edgecnn_runtime.backends import open_graph

        named = {graph.file: graph.precision for graph in described.onnx}
        opened = open_graph(path, backend, precision=named.get(path.name))
    try:
        return Classifier(described, opened)
    except BaseException:
        opened.close()
        raise


def _is_engine(path: Path) -> bool:
    return path.suffix == ".engine"


def _read(path: Path, file: Path) -> Manifest:
    if not file.is_file():
        if file.name == "manifest.json" and file.parent == path.parent:
            raise InputError(
                f"{path} has no manifest.json beside it, which tells its input and labels; name its"
                " bundle's with --manifest"
            )
        raise InputError(f"no file {file}; expected the manifest.json of the bundle of {path.name}")
    try:
        described = decode(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if isinstance(described, ImageManifest):
        raise InputError(f"{path} answers with pictures; expected what answers with labels")
    return described


def _engine(path: Path, file: Path, manifest: Manifest, backend: str) -> EngineBackend:
    from edgecnn_runtime.backends.engine import open_engine, this_machine

    artifact = _listed(path, file, manifest)
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if backend not in ("auto", artifact.compiler):
        what = "another compiler's engines" if backend in ENGINE_BACKENDS else "no engines"
        raise BackendError(
            f"backend {backend!r} runs {what}, and {path} is one of {artifact.compiler}"
        )
    bundle, here = Bundle(file.parent, manifest), this_machine()
    _check_here(path, bundle, artifact, here)
    return open_engine(bundle, artifact, here=here, path=path)


def _listed(path: Path, file: Path, manifest: Manifest) -> EngineArtifact:
    """The manifest's entry of an engine, found by its content and not by its name."""
    found = sha256(path)
    for artifact in manifest.engines:
        if artifact.sha256 == found:
            return artifact
    names = {Path(artifact.file).name: artifact for artifact in manifest.engines}
    if like := names.get(path.name):
        size = path.stat().st_size
        raise BundleError(
            f"{path} is another bundle's, altered or cut short: it has {size} bytes and sha256"
            f" {found[:12]}…, {file} lists {like.bytes} and {like.sha256[:12]}…; compile it again,"
            " or name its own manifest"
        )
    raise BundleError(
        f"{path} is no engine of {file}, by its sha256 {found[:12]}…, which lists"
        f" {', '.join(names) or 'none'}; name the manifest.json of the bundle it was compiled in"
    )


def _check_here(path: Path, bundle: Bundle, artifact: EngineArtifact, here: Here) -> None:
    from edgecnn_runtime.backends import trt
    from edgecnn_runtime.backends.identity import compile_command, mismatch

    why = mismatch(bundle, artifact, here)
    if why is None:
        return
    if here.gpu is None:
        raise BackendError(f"{path} {why}; evaluate the ONNX graph that it was compiled from")
    if here.version(artifact.compiler) is None:
        trt.load(artifact.compiler)  # says what to install, or why it does not load
    todo = compile_command(bundle, artifact.compiler)
    raise BackendError(f"{path} {why}; compile one:  {todo}")
