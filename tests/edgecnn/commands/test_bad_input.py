"""Wrong input: one line, exit status 2, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgecnn_runtime.cli import run as run_cli

OneLine = Callable[..., str]
SMALL = ("--model", "mobilenet_v1", "--width", "0.25", "--resolution", "32", "--epochs", "1")


def _train(refused: OneLine, data: object, tmp_path: Path, *more: object) -> str:
    out = tmp_path / "run"
    line = refused("train", data, "--out", out, *(more or SMALL))
    assert not out.exists()
    return line


def test_an_unknown_verb(refused: OneLine) -> None:
    assert "did you mean 'train'" in refused("trian")


def test_an_unknown_model(refused: OneLine, tmp_path: Path) -> None:
    line = _train(refused, "terrain", tmp_path, "--model", "mobilnet_v1")
    assert "did you mean 'mobilenet_v1'" in line


def test_an_unknown_data_set(refused: OneLine, tmp_path: Path) -> None:
    assert "did you mean 'terrain'" in _train(refused, "terain", tmp_path)
    assert "no folder" in _train(refused, tmp_path / "nowhere", tmp_path)


def test_a_missing_argument(refused: OneLine) -> None:
    assert "DATA" in refused("train", "--model", "lenet5", "--out", "x")


def test_an_unknown_option(refused: OneLine) -> None:
    assert "--widht" in refused("models", "mobilenet_v1", "--widht", "1")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--resolution", "big"), "expected R or HxW"),
        (("--resolution", "16"), "needs at least 32"),
        (("--width", "-1"), "width -1"),
        (("--recipe", "terain"), "did you mean 'terrain'"),
        (("--lr", "0"), "lr"),
    ],
)
def test_a_setting_that_cannot_be(
    option: tuple[str, str], says: str, refused: OneLine, tmp_path: Path
) -> None:
    line = _train(refused, "terrain", tmp_path, "--model", "mobilenet_v1", *option)
    assert says in line


def test_an_empty_folder(refused: OneLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no classes" in _train(refused, tmp_path / "empty", tmp_path)


def test_a_folder_of_one_class(refused: OneLine, photographs_folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(photographs_folder / "red")
    assert "one class, 'blue'" in _train(refused, photographs_folder, tmp_path)


def test_a_class_without_images(refused: OneLine, photographs_folder: Path, tmp_path: Path) -> None:
    (photographs_folder / "green").mkdir()
    assert "green holds no images" in _train(refused, photographs_folder, tmp_path)


def test_a_truncated_jpeg(refused: OneLine, photographs_folder: Path, tmp_path: Path) -> None:
    file = photographs_folder / "red" / "3.jpg"
    file.write_bytes(file.read_bytes()[:-200])
    assert "3.jpg" in _train(refused, photographs_folder, tmp_path)


def test_an_unknown_label(refused: OneLine, photographs_folder: Path, trained_bundle: Path) -> None:
    line = refused("evaluate", trained_bundle, photographs_folder)
    assert "has the labels blue, red" in line


def test_a_wrong_count_of_labels(refused: OneLine, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\n\ndog\n")
    line = refused(
        "export", "lenet5", "--random", "--labels", tmp_path / "labels.txt", "--out", tmp_path / "b"
    )
    assert "empty line" in line
    assert not (tmp_path / "b").exists()


def test_a_video_that_does_not_open(refused: OneLine, trained_bundle: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"not a film")
    line = refused("stream", trained_bundle, "--source", film, "--headless")
    assert "film.mp4" in line


@pytest.mark.parametrize("verb", ["evaluate", "stream", "profile", "compile", "verify"])
def test_a_bundle_that_is_not_there(verb: str, refused: OneLine, tmp_path: Path) -> None:
    more = {"evaluate": ["terrain"], "stream": ["--source", "0"], "compile": ["--target", "sm86"]}
    line = refused(verb, tmp_path / "none.bundle", *more.get(verb, []))
    assert "none.bundle" in line


def test_a_bundle_with_a_missing_file(
    refused: OneLine, trained_bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(trained_bundle, tmp_path / "copy"))
    (copy / "model.fp32.onnx").unlink()
    assert "model.fp32.onnx is missing" in refused("profile", copy)


def test_a_bundle_with_an_altered_file(
    refused: OneLine, trained_bundle: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(trained_bundle, tmp_path / "copy"))
    data = bytearray((copy / "model.fp32.onnx").read_bytes())
    data[-100] ^= 255
    (copy / "model.fp32.onnx").write_bytes(bytes(data))
    assert "was altered" in refused("evaluate", copy, "terrain")


def test_a_run_without_weights(refused: OneLine, trained_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained_run, tmp_path / "copy"))
    (copy / "best.safetensors").unlink()
    assert "no weights" in refused("export", copy, "--out", tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_while_exporting(small_disk: Path, trained_run: Path, refused: OneLine) -> None:
    line = refused("export", trained_run, "--out", small_disk / "b.bundle")
    assert "No space left on device" in line
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_while_compiling(
    trained_bundle: Path, refused: OneLine, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    disk = tmp_path / "disk"
    size = sum(f.stat().st_size for f in trained_bundle.iterdir()) + 300_000
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        copy = Path(shutil.copytree(trained_bundle, disk / "b.bundle"))
        before = (copy / "manifest.json").read_bytes()
        assert run_cli(["compile", str(copy), "--target", "sm86"]) == 2
        assert (copy / "manifest.json").read_bytes() == before
        assert not list((copy / "engines").iterdir())
        assert run_cli(["verify", str(copy)]) == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_while_training(small_disk: Path, refused: OneLine) -> None:
    line = refused("train", "terrain", "--out", small_disk / "run", *SMALL)
    assert "No space left on device" in line
    run = small_disk / "run" / "run.json"
    assert json.loads(run.read_text())["model"] == "mobilenet_v1"
    assert not list((small_disk / "run").glob(".*"))
