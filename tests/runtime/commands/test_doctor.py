from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn_runtime import diagnosis, installed
from edgecnn_runtime.cli import run


def test_a_machine_that_runs_the_tests_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "doctor.json"
    assert run(["doctor", "--json", str(result)]) == 0
    assert "The runtime can run here." in capsys.readouterr().out
    written = json.loads(result.read_text())
    assert written["cores"] >= 1
    assert "CPUExecutionProvider" in written["loads"]["onnxruntime"]
    assert written["packages"]["numpy"]


def test_packages_that_overwrite_one_another_are_status_1_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installed, "version", lambda package: "1.0")
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in out
    assert "pip uninstall -y opencv-python opencv-python-headless" in out


def test_a_gpu_without_the_cuda_provider_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagnosis, "gpus", lambda: ["NVIDIA RTX A2000, 580.1, 8.6"])
    monkeypatch.setattr(diagnosis, "version", lambda package: None)
    monkeypatch.setattr(diagnosis, "_import", lambda code: ("1.0, CPUExecutionProvider", ""))
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "NVIDIA RTX A2000" in out
    assert "pip install 'edgecnn[gpu]'" in out
    assert "pip install 'edgecnn[tensorrt-rtx]'" in out
