from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.bundle import add_artifact, open_bundle, staged_folder
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import OnnxArtifact


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
