from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.bundle import add_artifact, open_bundle, staged_folder, write_manifest
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import AnyManifest, EngineArtifact, OnnxArtifact


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    small_disk: Callable[[str], Path],
) -> None:
    disk = small_disk("64k")
    atomic_write(disk / "result.json", b"old")
    with pytest.raises(OSError, match="No space left"):
        atomic_write(disk / "result.json", bytes(1 << 20))
    assert (disk / "result.json").read_bytes() == b"old"
    assert [p.name for p in disk.iterdir()] == ["result.json"]


def test_a_folder_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with staged_folder(target, marker="m") as folder:
        (folder / "m").write_text("first")

    def fail() -> None:
        with staged_folder(target, marker="m") as folder:
            (folder / "m").write_text("second")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        fail()
    assert (target / "m").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_folder_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("mine")
    with (
        pytest.raises(BundleError, match="not ours to replace"),
        staged_folder(tmp_path / "photos", marker="manifest.json"),
    ):
        pass
    assert (tmp_path / "photos" / "a.jpg").read_text() == "mine"


def test_an_added_artifact_replaces_the_one_of_its_name(bundle: Path, tmp_path: Path) -> None:
    mine = open_bundle(shutil.copytree(bundle, tmp_path / "mine.bundle"))
    graph = (mine.path / "model.fp32.onnx").read_bytes()
    entry = OnnxArtifact(
        file="model.int8.onnx",
        sha256=sha256(mine.path / "model.fp32.onnx"),
        bytes=len(graph),
        precision="int8",
    )
    for _ in range(2):
        mine = add_artifact(mine, entry, graph)
    mine.check()
    assert [a.precision for a in open_bundle(mine.path).manifest.onnx] == ["fp32", "int8"]


def engine(data: bytes) -> EngineArtifact:
    return EngineArtifact(
        file="engines/a.engine",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        precision="fp32",
        compiler="tensorrt-rtx",
        version="1.7.1",
        target="sm86",
        batch=(1, 1, 8),
        onnx_sha256="0" * 64,
    )


def test_a_full_disk_leaves_the_artifact_that_was_to_be_replaced(
    bundle: Path, small_disk: Callable[[str], Path]
) -> None:
    size = sum(file.stat().st_size for file in bundle.iterdir())
    mine = open_bundle(shutil.copytree(bundle, small_disk(f"{size + 200_000}") / "mine.bundle"))
    mine = add_artifact(mine, engine(b"old"), b"old")
    with pytest.raises(OSError, match="No space left"):
        add_artifact(mine, engine(bytes(1 << 20)), bytes(1 << 20))
    open_bundle(mine.path).check()
    assert [p.name for p in (mine.path / "engines").iterdir()] == ["a.engine"]


def test_a_program_that_dies_while_it_replaces_leaves_a_good_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = open_bundle(shutil.copytree(bundle, tmp_path / "mine.bundle"))
    mine = add_artifact(mine, engine(b"old"), b"old")
    written, write = [], write_manifest

    def dies_before_the_last(folder: Path, manifest: AnyManifest) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(manifest)
        write(folder, manifest)

    monkeypatch.setattr("edgecnn_runtime.bundle.write.write_manifest", dies_before_the_last)
    with pytest.raises(KeyboardInterrupt):
        add_artifact(mine, engine(b"newer"), b"newer")
    left = open_bundle(mine.path)
    left.check()
    assert left.manifest.engines == ()


def test_what_another_program_added_meanwhile_stays(bundle: Path, tmp_path: Path) -> None:
    ours = open_bundle(shutil.copytree(bundle, tmp_path / "mine.bundle"))
    add_artifact(open_bundle(ours.path), engine(b"theirs"), b"theirs")
    graph = (ours.path / "model.fp32.onnx").read_bytes()
    entry = msgspec.structs.replace(ours.onnx(), file="model.fp16.onnx", precision="fp16")
    add_artifact(ours, entry, graph)
    assert [a.precision for a in open_bundle(ours.path).manifest.artifacts] == [
        *("fp32", "fp32", "fp16"),
    ]
