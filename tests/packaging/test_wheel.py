"""What the wheel with [cpu] gives a device, and what it does not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import pytest
from skimage import data

from edgecnn_runtime import cli

if TYPE_CHECKING:
    from tests.packaging.conftest import Environment

FRAMES = 12
PEAK_MB = """
import resource, sys
import edgecnn_runtime
try:  # unlike ru_maxrss not inherited from the process that started this one
    status = open("/proc/self/status").read()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
except FileNotFoundError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)  # bytes on macOS
"""


def test_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"edgecnn", "edgecnn_export", "edgecnn_runtime", "edgecnn-0.1.0.dist-info"}
    for package in ("edgecnn", "edgecnn_export", "edgecnn_runtime"):
        assert f"{package}/py.typed" in names


def test_import_takes_under_80_mb(device: Environment) -> None:
    assert float(device.python(PEAK_MB)) < 80


@pytest.mark.parametrize("name", ["torch", "torchvision", "onnx", "lightning", "tensorrt_rtx"])
def test_workstation_packages_are_not_there(device: Environment, name: str) -> None:
    done = device.run("python", "-c", f"import {name}")
    assert f"No module named '{name}'" in done.stderr


def test_modules_have_no_second_name(device: Environment) -> None:
    for name in ("export.edgecnn_export", "runtime.edgecnn_runtime"):
        done = device.run("python", "-c", f"import {name}")
        assert "ModuleNotFoundError" in done.stderr


def test_classifier_and_stream_are_importable(device: Environment) -> None:
    names = device.python(
        "import edgecnn_runtime as e; print(*(getattr(e, name).__name__ for name in"
        " ('Classifier', 'Stream', 'Prediction', 'Result')))"
    )
    assert names == "Classifier Stream Prediction Result"


def test_installed_version_is_the_wheels(device: Environment) -> None:
    assert device.run("edgecnn", "--version").stdout == "edgecnn 0.1.0\n"


def test_help_lists_the_verbs(device: Environment) -> None:
    done = device.run("edgecnn", "--help")
    assert done.returncode == 0
    for verb in ("demo", "train", "export", "compile", "profile", "stream", "doctor"):
        assert verb in done.stdout


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("train mnist5k --model lenet5 --out run", "train,cpu"),
        ("export lenet5 --random --out lenet5.bundle", "train,export,cpu"),
        ("demo", "train,export,cpu"),
    ],
)
def test_workstation_verb_says_what_to_install(device: Environment, line: str, extra: str) -> None:
    done = device.run("edgecnn", *line.split())
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"edgecnn {line.split(maxsplit=1)[0]}: ")
    assert said.endswith(f"pip install 'edgecnn[{extra}]'")
    assert list(device.cwd.iterdir()) == []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as the workstation exports it."""
    path = tmp_path_factory.mktemp("export") / "small.bundle"
    line = "export mobilenet_v1 --width 0.25 --resolution 96 --random --out"
    assert cli.run([*line.split(), str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames that pan over a photograph."""
    path = tmp_path_factory.mktemp("clip") / "pan.mp4"
    photograph = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (320, 240))
    for at in range(FRAMES):
        writer.write(photograph[8 * at : 8 * at + 240, 8 * at : 8 * at + 320])
    writer.release()
    return path


def test_device_streams_an_exported_bundle(device: Environment, bundle: Path, clip: Path) -> None:
    done = device.run("edgecnn", "stream", bundle, "--source", clip, "--headless", "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["frames"] == FRAMES
    assert result["errors"] == 0
    assert "RANDOM WEIGHTS" in done.stderr


def test_altered_bundle_is_one_line_and_exit_2(
    device: Environment, bundle: Path, clip: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "altered.bundle"
    altered.mkdir()
    for file in bundle.iterdir():
        content = file.read_bytes()
        is_graph = file.suffix == ".onnx"
        (altered / file.name).write_bytes(content[:-1] + b"\0" if is_graph else content)
    done = device.run("edgecnn", "stream", altered, "--source", clip, "--headless")
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert "was altered" in said
