from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from edgecnn_runtime.bundle import add_artifact, open_bundle
from edgecnn_runtime.bundle.contents import contents
from edgecnn_runtime.cli import run
from edgecnn_runtime.manifest import EngineArtifact

ENGINE = b"not read by anything here" * 40


@pytest.fixture
def with_engines(bundle: Path, tmp_path: Path) -> Path:
    """A bundle with an engine of its graph, and one of a graph that it no longer has."""
    copy = tmp_path / "with-engines.bundle"
    shutil.copytree(bundle, copy)
    opened = open_bundle(copy)
    for target, graph in (("sm86", opened.manifest.onnx[0].sha256), ("sm89", "0" * 64)):
        artifact = EngineArtifact(
            file=f"engines/tensorrt-rtx-1.7.1-{target}-fp32.engine",
            sha256=hashlib.sha256(ENGINE).hexdigest(),
            bytes=len(ENGINE),
            precision="fp32",
            compiler="tensorrt-rtx",
            version="1.7.1.116",
            target=target,
            batch=(1, 1, 8),
            onnx_sha256=graph,
        )
        opened = add_artifact(opened, artifact, ENGINE)
    return copy


def test_a_bundle_tells_its_model_input_labels_and_files(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "32x32x3 uint8 rgb, resized by crop" in out
    assert "3: red, green, blue" in out
    assert "model.fp32.onnx" in out
    assert "golden frames  whole" in out


def test_an_engine_tells_what_it_was_made_for_and_from(
    with_engines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "info.json"
    assert run(["info", str(with_engines), "--json", str(result)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (fresh,) = [line for line in lines if "sm86-fp32.engine" in line]
    assert "STALE" not in fresh
    assert "sm86, tensorrt-rtx 1.7.1.116" in fresh
    assert "1:1:8" in fresh
    assert "model.fp32.onnx" in fresh
    assert any(n.startswith("STALE") and "sm89-fp32.engine" in n for n in lines)
    entries = json.loads(result.read_text())["entries"]
    graph, engine, _ = entries
    assert engine["artifact"]["target"] == "sm86"
    assert engine["graph"] == graph["artifact"]["file"]
    assert engine["graph_bytes"] == graph["artifact"]["bytes"]


def test_an_altered_file_is_named_and_is_status_1(
    with_engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = with_engines / "engines/tensorrt-rtx-1.7.1-sm86-fp32.engine"
    engine.write_bytes(b"X" + engine.read_bytes()[1:])
    assert run(["info", str(with_engines)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(n.startswith("ALTERED") and "sm86-fp32" in n for n in lines)
    assert contents(with_engines).entries[0].state == "whole"


def test_a_folder_that_is_no_bundle_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "is not a bundle" in error
    assert error.count("\n") == 1


def test_a_filters_bundle_is_told_too(
    filter_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", str(filter_bundle)]) == 0
    assert "labels" not in capsys.readouterr().out
