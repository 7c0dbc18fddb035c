"""`verify` finds what changed: a file, an answer, a filter."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecnn_export.agreement import compare
from edgecnn_runtime.cli import run

OneLine = Callable[..., str]


@pytest.fixture
def copy(trained_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_bundle, tmp_path / "copy.bundle"))


def _edit_manifest(bundle: Path, edit: Callable[[dict], None]) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("data", [(), ("terrain",)])
def test_a_good_bundle_agrees(data: tuple[str, ...], trained_bundle: Path, tmp_path: Path) -> None:
    assert run(["verify", str(trained_bundle), *data, "--json", str(tmp_path / "v.json")]) == 0
    artifact = json.loads((tmp_path / "v.json").read_text())["artifacts"][0]
    assert artifact["status"] == "agrees"
    assert artifact["frames"] == (316 if data else 16) + (4 if data else 0)


def test_a_graph_with_other_weights_differs_though_its_hash_was_mended(
    copy: Path, refused: OneLine
) -> None:
    path = copy / "model.fp32.onnx"
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda i: np.prod(i.dims))
    changed = numpy_helper.to_array(weight) * 1.05
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, path)
    data = path.read_bytes()
    fields = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    _edit_manifest(copy, lambda m: m["artifacts"][0].update(fields))
    line = refused("verify", copy, status=1)
    assert "other answers than expected from model.fp32.onnx" in line


@pytest.mark.parametrize(
    "change",
    [{"interpolation": "bicubic-antialias"}, {"color": "bgr"}, {"shorter_side": 51}],
)
def test_another_preprocessing_than_the_workstations_is_caught(
    change: dict[str, object], copy: Path, refused: OneLine
) -> None:
    _edit_manifest(copy, lambda m: m["input"].update(change))
    assert "preprocessing differs" in refused("verify", copy)


def test_an_altered_file_is_named(copy: Path, refused: OneLine) -> None:
    path = copy / "model.fp32.onnx"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(bytes(data))
    assert "model.fp32.onnx was altered" in refused("verify", copy)


def test_a_missing_file_is_named(copy: Path, refused: OneLine) -> None:
    (copy / "golden.npz").unlink()
    assert "golden.npz is missing" in refused("verify", copy)


def test_classes_that_are_as_good_as_equal_may_change_places() -> None:
    reference = np.array([[0.5, 0.5, 0.0]], np.float32)
    agreement = compare(reference, np.array([[0.49999, 0.50001, 0.0]], np.float32))
    assert agreement.top1_agreement == 1.0
    assert agreement.holds


def test_not_a_number_never_agrees() -> None:
    reference = np.array([[0.6, 0.4]], np.float32)
    assert not compare(reference, np.array([[np.nan, 0.4]], np.float32)).holds


def test_a_flat_answer_is_judged_by_its_own_scale() -> None:
    flat = np.full((1, 1000), 0.001, np.float32)
    other = flat.copy()
    other[0, :2] = 0.00105, 0.00095
    assert not compare(flat, other).holds
