"""What the wheel with [cpu] gives a device, and what it does not."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.packaging.conftest import Environment

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
    assert said.startswith(f"edgecnn {line.split()[0]}: ")
    assert said.endswith(f"pip install 'edgecnn[{extra}]'")
    assert list(device.cwd.iterdir()) == []
