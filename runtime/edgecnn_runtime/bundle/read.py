"""Open a bundle and prove that its files are the ones that were written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgecnn_runtime import manifest as schema
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import (
    AnyManifest,
    EngineArtifact,
    File,
    ImageManifest,
    Manifest,
    OnnxArtifact,
)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A folder and its manifest.

    Every listed file was there, in its full length, when it was opened; but for engines, without
    which a bundle runs all the same: they are checked when they are used.
    """

    path: Path
    manifest: AnyManifest

    def classifier(self) -> Manifest:
        """The manifest of a bundle that answers with labels.

        Raises:
            BundleError: it answers with pictures.
        """
        if isinstance(self.manifest, ImageManifest):
            raise BundleError(
                f"{self.path} answers with pictures, and this needs labels; 'edgecnn stream' shows"
                " them, and in Python open_model or ImageFilter.open"
            )
        return self.manifest

    def image_filter(self) -> ImageManifest:
        """The manifest of a bundle that answers with pictures.

        Raises:
            BundleError: it answers with labels.
        """
        if isinstance(self.manifest, Manifest):
            raise BundleError(f"{self.path} answers with labels, not pictures; use Classifier.open")
        return self.manifest

    def file(self, entry: File) -> Path:
        """The path of one of its files, after its content has been checked.

        Of a graph whose weights lie in a file beside it, that is checked too.

        Raises:
            BundleError: the file was altered since the bundle was written.
        """
        if isinstance(entry, OnnxArtifact) and entry.data:
            self.file(entry.data)
        path = self.path / entry.file
        _check_present(self.path, entry)
        found = sha256(path)
        if found != entry.sha256:
            raise BundleError(
                f"{path} was altered: its sha256 is {found[:12]}…, the manifest says"
                f" {entry.sha256[:12]}…; {_todo(self.path, entry)}"
            )
        return path

    def check(self) -> None:
        """Check the content of every file.

        Raises:
            BundleError: one is missing or altered.
        """
        for entry in (*self.manifest.artifacts, self.manifest.golden):
            if entry:
                self.file(entry)

    def entries(self) -> tuple[File, ...]:
        weights = (graph.data for graph in self.manifest.onnx)
        return tuple(filter(None, (*self.manifest.artifacts, *weights, self.manifest.golden)))

    def onnx(self, precision: str | None = None) -> OnnxArtifact:
        """The ONNX graph of a precision; without one, the first.

        Raises:
            BundleError: there is none.
        """
        graphs = self.manifest.onnx
        found = [a for a in graphs if precision in (None, a.precision)]
        if not found:
            have = ", ".join(a.precision for a in graphs) or "no ONNX graph at all"
            raise BundleError(
                f"{self.path} has no ONNX graph of precision {precision or 'any'}; it has: {have}"
            )
        return found[0]


def open_bundle(path: str | Path) -> Bundle:
    """Open a bundle folder.

    Files are checked for presence and length, but for engines; their content when they are used
    (`Bundle.file`).

    Raises:
        BundleError: not a bundle, an unreadable manifest, a missing or shortened file.
    """
    path = Path(path)
    if not path.is_dir():
        raise BundleError(f"no bundle at {path}; expected a folder written by 'edgecnn export'")
    try:
        text = (path / "manifest.json").read_bytes()
    except FileNotFoundError:
        raise BundleError(
            f"{path} is not a bundle: it has no manifest.json; expected a folder written by"
            " 'edgecnn export'"
        ) from None
    try:
        bundle = Bundle(path, schema.decode(text))
    except ValueError as error:
        raise BundleError(f"{path / 'manifest.json'} cannot be read: {error}") from error
    for entry in bundle.entries():
        if not isinstance(entry, EngineArtifact):
            _check_present(path, entry)
    return bundle


def _check_present(folder: Path, entry: File) -> None:
    path = folder / entry.file
    if not path.is_file():
        todo = _todo(folder, entry)
        raise BundleError(f"{path} is missing, though the manifest lists it; {todo}")
    size = path.stat().st_size
    if size != entry.bytes:
        raise BundleError(
            f"{path} was altered: it has {size} bytes, the manifest says {entry.bytes};"
            f" {_todo(folder, entry)}"
        )


def _todo(folder: Path, entry: File) -> str:
    if isinstance(entry, EngineArtifact):
        return f"compile it again: edgecnn compile {folder} --target {entry.target}"
    return "export the bundle again"
