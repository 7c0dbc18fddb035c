from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BundleError


@pytest.fixture
def mine(bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "mine.bundle"))


def test_a_good_bundle_passes_its_check(bundle: Path) -> None:
    open_bundle(bundle).check()


@pytest.mark.parametrize("name", ["model.fp32.onnx", "golden.npz"])
def test_a_missing_file_is_named(mine: Path, name: str) -> None:
    (mine / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_bundle(mine)


def test_a_shortened_file_is_refused_at_once(mine: Path) -> None:
    content = (mine / "golden.npz").read_bytes()
    (mine / "golden.npz").write_bytes(content[:-1])
    with pytest.raises(BundleError, match="was altered: it has"):
        open_bundle(mine)


def test_altered_content_of_the_same_length_is_refused_before_it_runs(mine: Path) -> None:
    content = bytearray((mine / "model.fp32.onnx").read_bytes())
    content[-20] ^= 1
    (mine / "model.fp32.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="was altered: its sha256"):
        Classifier.open(mine)


def test_a_folder_without_a_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        open_bundle(tmp_path)


def test_a_missing_folder_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="edgecnn export"):
        open_bundle(tmp_path / "nothing")


def test_an_unreadable_manifest_is_one_line(mine: Path) -> None:
    (mine / "manifest.json").write_text('{"schema_version": 1, "model":')
    with pytest.raises(BundleError, match="cannot be read") as caught:
        open_bundle(mine)
    assert "\n" not in str(caught.value)


def test_an_absent_precision_names_those_that_are_there(bundle: Path) -> None:
    with pytest.raises(BundleError, match="precision int8; it has: fp32"):
        open_bundle(bundle).onnx("int8")
