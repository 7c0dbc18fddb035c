"""`profile --layers` of an engine: what its inspector tells, and not what the graph was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgecnn_runtime.bundle import open_bundle, write_manifest
from edgecnn_runtime.cli import run

Machine = Any


@pytest.fixture
def no_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU that computes on the host has no figures of its own."""
    monkeypatch.setattr("edgecnn_runtime.commands.layers._peaks", lambda *of: None)


def layers(bundle: Path, folder: Path, *more: str) -> Any:
    result = folder / "profile.json"
    arguments = ["--layers", "--frames", "5", "--json", str(result), *more]
    assert run(["profile", str(bundle), *arguments]) == 0
    return json.loads(result.read_text())["layers"]


@pytest.mark.usefixtures("no_peaks")
@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_the_precision_of_each_layer_is_the_engines(
    machine: Machine,
    copy: Path,
    tmp_path: Path,
    backend: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine.add(copy, data=machine.tensorrt.build(detailed="Half"))
    found = layers(copy, tmp_path, "--backend", backend)
    assert (found["backend"], found["precision"]) == ("tensorrt", "fp32")
    told = {layer["name"]: layer["precision"] for layer in found["layers"]}
    assert told == {"conv": "fp16", "softmax": "fp32"}
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("conv")]
    assert row.split()[:3] == ["conv", "Convolution", "fp16"]
    assert "not in fp32, which was asked for: conv (fp16)" in out


@pytest.mark.usefixtures("no_peaks")
def test_a_bundle_of_engines_alone_is_profiled_too(
    machine: Machine, copy: Path, tmp_path: Path
) -> None:
    machine.add(copy, precision="int8", data=machine.tensorrt.build(detailed="Int8"))
    manifest = open_bundle(copy).manifest
    write_manifest(copy, msgspec.structs.replace(manifest, artifacts=manifest.engines))
    found = layers(copy, tmp_path)
    assert found["precision"] == "int8"
    assert found["layers"][0]["precision"] == "int8"
