from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn_runtime.backends import BACKENDS, REFERENCES
from edgecnn_runtime.cli import run


def test_a_profile_is_printed_and_written(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "profile.json"
    assert run(["profile", str(bundle), "--frames", "30", "--json", str(result)]) == 0
    out = capsys.readouterr().out
    assert "Throughput: " in out
    assert "percentile(99%)" in out
    written = json.loads(result.read_text())
    assert written["backend"] == "onnxruntime"
    assert written["device"]
    assert written["frames"] == len(written["samples_ms"]) == 30
    assert written["first_ms"] > 0
    assert written["load_ms"] > 0
    assert set(written["stages"]) == {"preprocess", "infer", "postprocess"}
    assert written["end_to_end"]["p50"] <= written["end_to_end"]["p999"]


def test_a_paced_profile_counts_late_starts(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "profile.json"
    arguments = ["--rate", "200", "--frames", "20", "--json", str(result)]
    assert run(["profile", str(bundle), *arguments]) == 0
    assert "paced at 200 fps" in capsys.readouterr().out
    assert json.loads(result.read_text())["rate"] == 200


def test_all_backends_are_profiled_and_absent_ones_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "profile.json"
    arguments = ["--backend", "all", "--frames", "5", "--json", str(result)]
    assert run(["profile", str(bundle), *arguments]) == 0
    written = json.loads(result.read_text())
    names = {p["backend"] for p in written["profiles"]} | {s["backend"] for s in written["skipped"]}
    assert names == {*BACKENDS, *REFERENCES} - {"auto"}
    assert written["profiles"][0]["backend"] == "onnxruntime"
    assert written["profiles"][0]["backends"] == {"onnxruntime": 5}
    assert [row["backend"] for row in written["side_by_side"]] == [
        p["backend"] for p in written["profiles"]
    ]
    said = capsys.readouterr().out
    assert all(f"{s['backend']} not measured: {s['why']}" in said for s in written["skipped"])


def test_layers_are_told_against_the_whole_frame(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "profile.json"
    arguments = ["--layers", "--frames", "20", "--json", str(result)]
    assert run(["profile", str(bundle), *arguments]) == 0
    out = capsys.readouterr().out
    assert "by kind: " in out
    assert "profiling costs" in out
    written = json.loads(result.read_text())
    layers = written["layers"]
    kinds = [layer["kind"] for layer in layers["layers"]]
    assert {"Cast", "ReduceMean", "Softmax"} <= set(kinds)
    assert sum(layer["share"] for layer in layers["layers"]) == pytest.approx(1, abs=1e-3)
    assert 0 < layers["layers_ms"] <= layers["run_ms"]
    assert layers["infer_ms"] == written["profile"]["stages"]["infer"]["p50"]
    assert layers["peaks"] is None, "nobody states what a CPU can do"
    assert layers["layers"][0]["bound"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "--rate", "30"], "leave out --rate"),
        (["--layers", "--backend", "all"], "leave out --rate"),
        (["--backend", "torhc"], "did you mean 'torch'"),
        (["--backend", "torch"], "was not made from one"),
        (["--rate", "fast"], "expected max or frames a second"),
        (["--rate", "0"], "expected max or frames a second"),
        (["--frame-size", "640"], "expected WIDTHxHEIGHT"),
        (["--rate", "30", "--idle", "1"], "give one of them"),
        (["--backend", "onnxruntme"], "did you mean 'onnxruntime'"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(
    bundle: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", str(bundle), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
