"""Write bundles and run folders whole or not at all: to a temporary name, then rename."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgecnn_runtime import manifest as schema
from edgecnn_runtime.atomic import atomic_write, staged_file
from edgecnn_runtime.bundle.read import Bundle
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import AnyManifest, Artifact


@contextmanager
def staged_folder(path: Path, *, marker: str) -> Iterator[Path]:
    """Fill a temporary folder that takes the place of `path` when the block ends well.

    Args:
        path: where the folder will stand. An older one of the same kind is replaced.
        marker: the file that tells that an existing folder is of this kind.

    Raises:
        BundleError: `path` holds something else, which is not overwritten.
    """
    if path.exists() and not (path / marker).is_file() and not _is_empty_folder(path):
        raise BundleError(
            f"{path} exists and is not ours to replace: it holds no {marker}; name another --out"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield staging
        staging.chmod(0o755)
        _swap(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    path.rename(old / "was")
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def write_manifest(folder: Path, manifest: AnyManifest) -> None:
    atomic_write(folder / "manifest.json", schema.encode(manifest))


def add_artifact(bundle: Bundle, artifact: Artifact, data: bytes) -> Bundle:
    """Put a file into a bundle and list it; a listed artifact of the same name is replaced.

    The file comes first and the manifest after, so that a manifest never lists what is not there;
    one that is replaced is taken off the list before. What another program has added since the
    bundle was opened stays.
    """
    current = schema.decode((bundle.path / "manifest.json").read_bytes())
    others = tuple(a for a in current.artifacts if a.file != artifact.file)
    with staged_file(bundle.path / artifact.file, data):
        if others and len(others) < len(current.artifacts):
            write_manifest(bundle.path, msgspec.structs.replace(current, artifacts=others))
    manifest = msgspec.structs.replace(current, artifacts=(*others, artifact))
    write_manifest(bundle.path, manifest)
    return Bundle(bundle.path, manifest)
