from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn_runtime import installed
from edgecnn_runtime.cli import run


def test_a_machine_that_runs_the_tests_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "doctor.json"
    assert run(["doctor", "--json", str(result)]) == 0
    assert "The runtime can run here." in capsys.readouterr().out
    written = json.loads(result.read_text())
    assert written["cores"] >= 1
    assert "CPUExecutionProvider" in written["providers"]
    assert written["packages"]["numpy"]


def test_packages_that_overwrite_one_another_are_status_1_with_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installed, "version", lambda package: "1.0")
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in out
    assert "pip uninstall -y opencv-python opencv-python-headless" in out
