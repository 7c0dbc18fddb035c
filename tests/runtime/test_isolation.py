"""What a device lacks must never be imported by what runs there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

EVERY_MODULE = """
import importlib, pkgutil, sys

class Absent:
    names = {"torch", "torchvision", "lightning", "onnx", "edgecnn", "edgecnn_export"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import edgecnn_runtime
for module in pkgutil.walk_packages(edgecnn_runtime.__path__, "edgecnn_runtime."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_every_module_imports_where_torch_and_onnx_are_absent() -> None:
    done = run(EVERY_MODULE)
    assert done.returncode == 0, done.stderr
    assert "edgecnn_runtime.stream.loop" in done.stdout
    assert "edgecnn_runtime.commands.doctor" in done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    done = run("import edgecnn_runtime, sys; print(*sys.modules)")
    assert not {"numpy", "cv2", "onnxruntime", "torch", "rich"} & set(done.stdout.split())


OPEN_AND_INFER = """
import sys
import numpy as np
from edgecnn_runtime import Classifier
with Classifier.open(sys.argv[1]) as classify:
    classify(np.zeros((40, 40, 3), np.uint8))
"""


def test_onnx_runtime_keeps_no_record_of_the_user_to_send_away(
    bundle: Path, tmp_path: Path
) -> None:
    quiet = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "CI")}
    done = subprocess.run(
        [sys.executable, "-c", OPEN_AND_INFER, str(bundle)],
        env={**quiet, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_loads_neither_torch_nor_numpy_nor_opencv() -> None:
    code = """
import sys
from edgecnn_runtime.cli import run
status = run(["--help"])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""
    done = run(code)
    assert done.returncode == 0
    assert "stream" in done.stdout
    heavy = {"numpy", "cv2", "onnxruntime", "torch", "lightning", "onnx", "PIL"}
    assert not heavy & set(done.stderr.split())


ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"numpy", "cv2", "onnxruntime"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def run_without_packages(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run edgecnn where numpy, OpenCV and ONNX Runtime raise, in child processes too."""
    (folder / "sitecustomize.py").write_text(ABSENT)
    return subprocess.run(
        [sys.executable, "-m", "edgecnn_runtime", *arguments],
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_verb_without_its_packages_says_what_to_install(tmp_path: Path) -> None:
    done = run_without_packages(tmp_path, "stream", "x.bundle", "--source", "0")
    assert done.returncode == 2
    assert "pip install 'edgecnn[cpu]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_doctor_works_where_the_runtime_does_not_and_says_what_to_install(tmp_path: Path) -> None:
    result = tmp_path / "doctor.json"
    done = run_without_packages(tmp_path, "doctor", "--json", str(result))
    assert done.returncode == 1, done.stderr
    assert "numpy does not load" in done.stdout
    assert "pip install 'edgecnn[cpu]'" in done.stdout
    loads = json.loads(result.read_text())["loads"]
    assert [loads[name] for name in ("numpy", "cv2", "onnxruntime")] == [None, None, None]


BROKEN_OPENCV = "raise ImportError('libGL.so.1: cannot open shared object file')"


def test_a_missing_libgl_is_one_line_that_says_which_opencv_to_install(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(BROKEN_OPENCV)
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn_runtime", "stream", "x.bundle", "--source", "0"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install opencv-python-headless" in done.stderr
    assert done.stderr.count("\n") == 1
