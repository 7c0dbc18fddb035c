"""Copies of bundles, to be broken."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgecnn_runtime.bundle import open_bundle, write_manifest

Rewrite = Callable[..., None]


@pytest.fixture
def copy(trained_bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may alter."""
    return Path(shutil.copytree(trained_bundle, tmp_path / "copy.bundle"))


@pytest.fixture(scope="session")
def half_bundle(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FP16 before FP32, both with logits. No test changes it."""
    from edgecnn_export.export import export
    from edgecnn_export.sources import Options, open_source
    from edgecnn_export.to_onnx import GraphOptions

    out = tmp_path_factory.mktemp("bundles") / "half.bundle"
    source, options = open_source(str(trained_run), Options()), GraphOptions(logits=True)
    export(source, out, options=options, precisions=("fp16", "fp32"))
    return out


@pytest.fixture
def rewrite() -> Rewrite:
    """Alter a bundle, and mend its hashes so that nothing but the content tells.

    rewrite(bundle, {"model.fp32.onnx": content}, color="bgr") writes files and changes fields of
    the manifest's input.
    """

    def change(bundle: Path, files: dict[str, bytes] | None = None, **fields: Any) -> None:
        manifest = open_bundle(bundle).manifest
        spec = msgspec.structs.replace(manifest.input, **fields)
        changed = {}
        for name, content in (files or {}).items():
            (bundle / name).write_bytes(content)
            sha = hashlib.sha256(content).hexdigest()
            changed[name] = {"sha256": sha, "bytes": len(content)}
        artifacts = tuple(
            msgspec.structs.replace(a, **changed.get(a.file, {})) for a in manifest.artifacts
        )
        golden = manifest.golden and msgspec.structs.replace(
            manifest.golden, **changed.get(manifest.golden.file, {})
        )
        write_manifest(
            bundle,
            msgspec.structs.replace(manifest, input=spec, artifacts=artifacts, golden=golden),
        )

    return change
