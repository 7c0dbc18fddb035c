from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn_runtime.backends import BACKENDS, REFERENCES
from edgecnn_runtime.cli import run
from edgecnn_runtime.latency import baseline


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
    assert layers["peaks"]["source"] == "measured"
    assert layers["layers"][0]["bound"] == "memory", "a cast computes nothing"
    assert "by the roofline" in out


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
        (["--backend", "onnxruntime,tensort"], "did you mean 'tensorrt'"),
        (["--keep-warm", "infer"], "there are none; add --rate FPS or --idle S"),
        (["--idle", "1", "--keep-warm", "spinn"], "did you mean 'spin'"),
        (["--batch", "1,two"], "expected sizes from 1 to 4096"),
        (["--layers", "--turns", "2"], "leave out --rate, --idle, --turns"),
        (["--against", "old.json", "--backend", "all"], "compares one bundle on one backend"),
        (["--against", "absent.json"], "no baseline at absent.json"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(
    bundle: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", str(bundle), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_two_bundles_take_turns_in_processes_of_their_own(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, page, table = (tmp_path / name for name in ("p.json", "p.html", "p.csv"))
    files = ["--json", str(result), "--html", str(page), "--csv", str(table)]
    options = ["--turns", "2", "--frames", "10", "--batch", "1,2"]
    assert run(["profile", str(bundle), str(bundle), *options, *files]) == 0
    out = capsys.readouterr().out
    assert "colour.bundle #2 takes" in out
    assert "End to end, processes in turn" in out
    written = json.loads(result.read_text())
    first, second = written["profiles"]
    assert first["frames"] == second["frames"] == 10
    assert first["turns"] == len(first["blocks_ms"]) == 2
    assert [rate["batch"] for rate in first["batches"]] == [1, 2]
    assert first["memory"]["peak_mb"] > first["memory"]["opening_mb"] > 0
    (ratio,) = written["ratios"]
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]
    assert page.read_text().count("<svg") == 6
    assert len(table.read_text().splitlines()) == 3
    assert table.read_text().startswith("bundle,precision,backend,")


def test_what_a_process_of_a_turn_refuses_is_said_in_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--precision", "fp32,int8", "--frames", "5"]
    assert run(["profile", str(bundle), *options]) == 2
    error = capsys.readouterr().err
    assert "has no ONNX graph of precision int8" in error
    assert error.count("\n") == 1


def test_a_baseline_is_held_to_and_the_verdict_is_the_exit_status(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(baseline, "disturbed", lambda now, then: [])  # other tests may run
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    options = ["--frames", "20", "--turns", "2", "--tolerance", "1000"]
    assert run(["profile", str(bundle), *options, "--json", str(old)]) == 0
    kept = json.loads(old.read_text())
    kept["conditions"]["yardstick_ms"] = [0, 0]  # the clock of a busy machine may have changed
    old.write_text(json.dumps(kept))
    hold = ["--against", str(old)]
    assert run(["profile", str(bundle), *options, *hold, "--json", str(new)]) == 0
    assert "No change beyond the noise" in capsys.readouterr().out
    verdict = json.loads(new.read_text())["against"]
    assert not verdict["is_regression"]
    assert verdict["tolerance"] == 10

    kept["samples_ms"] = [ms / 100 for ms in kept["samples_ms"]]
    old.write_text(json.dumps(kept))
    assert run(["profile", str(bundle), *options, *hold]) == 1
    assert "REGRESSION: the median is" in capsys.readouterr().out

    kept["device"] = "another machine"
    old.write_text(json.dumps(kept))
    assert run(["profile", str(bundle), *options, *hold]) == 2
    assert "device was another machine" in capsys.readouterr().err
