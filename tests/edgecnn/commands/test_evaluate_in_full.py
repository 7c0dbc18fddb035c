"""`evaluate` on the command line: one target or several, crops, slices, comparison, report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgecnn.training.run import read_run, write_run
from edgecnn_runtime.cli import run

Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluate(capfd: pytest.CaptureFixture[str]) -> Evaluate:
    """The result of a command line, and under `said` what people read."""

    def measured(*arguments: object) -> dict[str, Any]:
        capfd.readouterr()
        assert run(["evaluate", *map(str, arguments), "--json", "-"]) == 0
        captured = capfd.readouterr()
        return {**json.loads(captured.out), "said": captured.err}

    return measured


def test_a_run_is_told_of_in_full_and_has_its_report(trained_run: Path, evaluate: Evaluate) -> None:
    result = evaluate(trained_run, "terrain")
    for name in ("top1", "top5", "precision", "recall", "specificity", "accuracy", "map"):
        assert 0 < result[name] <= 1
    low, high = result["intervals"]["top1"]
    assert low < result["top1"] < high
    assert f"{result['top1']:.4f}  {low:.4f} to {high:.4f}" in result["said"]
    assert [c["label"] for c in result["classes"]] == ["brick", "grass", "gravel"]
    assert sum(map(sum, result["confusion"])) == 300
    assert sum(b["images"] for b in result["calibration"]["bins"]) == 300
    assert result["topk"]["accuracy"] == [result["top1"], *result["topk"]["accuracy"][1:]]
    assert result["topk"]["accuracy"][2] == 1
    million = result["parameters"] / 1e6
    assert result["top1_per_million_parameters"] == pytest.approx(result["top1"] / million)
    wrong = round(300 * (1 - result["top1"]))
    assert sum(pair["images"] for pair in result["confused"]) == wrong
    assert len(result["mistakes"]) == min(24, wrong)

    report = Path(result["report"])
    assert report == trained_run / "report.html"
    assert f"report: {report}" in result["said"]
    assert "gravel" in report.read_text(encoding="utf-8")


def test_run_bundle_and_graph_are_measured_alike(
    trained_run: Path, trained_bundle: Path, evaluate: Evaluate
) -> None:
    before = sorted(trained_bundle.rglob("*"))
    of_run = evaluate(trained_run, "terrain", "--crops", "flip")
    for target in (trained_bundle, trained_bundle / "model.fp32.onnx"):
        other = evaluate(target, "terrain", "--crops", "flip")
        assert other["confusion"] == of_run["confusion"]
        for name in ("top1", "map", "parameters"):
            assert other[name] == pytest.approx(of_run[name], abs=1e-4), name
        assert "report" not in other
    assert sorted(trained_bundle.rglob("*")) == before


def test_several_targets_answer_with_their_mean(
    trained_run: Path, trained_bundle: Path, evaluate: Evaluate
) -> None:
    alone = evaluate(trained_run, "terrain")
    both = evaluate(trained_run, trained_bundle, "terrain")
    assert both["targets"] == [str(trained_run), str(trained_bundle)]
    assert both["parameters"] == 2 * alone["parameters"]
    assert both["map"] == pytest.approx(alone["map"], abs=1e-6)


def test_crops_change_the_answers_and_can_be_compared(
    trained_run: Path, evaluate: Evaluate
) -> None:
    plain, ten = (evaluate(trained_run, "terrain", "--crops", c) for c in ("none", "10"))
    assert plain["calibration"]["ece"] != ten["calibration"]["ece"]
    assert (plain["crops"], ten["crops"]) == ("center", "ten")


def test_two_targets_are_compared_image_by_image(
    trained_run: Path, trained_bundle: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    last = tmp_path / "last"
    shutil.copytree(trained_run, last)
    shutil.copy(_first_weights(trained_run), last / "best.safetensors")
    found = evaluate(trained_run, trained_bundle, last, "terrain", "--compare")
    first, same, worse = found["compared"]
    assert "against_first" not in first
    assert same["against_first"]["difference"] == 0
    assert same["against_first"]["p"] == 1
    told = worse["against_first"]
    assert told["difference"] == pytest.approx(worse["top1"] - first["top1"])
    assert told["difference"] == pytest.approx((told["gained"] - told["lost"]) / 300)
    low, high = told["interval"]
    assert low < told["difference"] < high < 0
    assert told["p"] < 0.001
    assert "McNemar" in found["said"]


def _first_weights(trained_run: Path) -> Path:
    """Weights of chance for the same network, in a file beside the run."""
    from edgecnn.training.weights import save_tensors

    path = trained_run.parent / "fresh.safetensors"
    save_tensors(path, read_run(trained_run).network().state_dict())
    return path


def test_a_report_that_nobody_asked_for_is_no_reason_to_fail(
    trained_run: Path, tmp_path: Path, evaluate: Evaluate, refused: Callable[..., str]
) -> None:
    shutil.copytree(trained_run, tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))
    (tmp_path / "run" / "report.html").mkdir()
    result = evaluate(tmp_path / "run", "terrain")
    assert "report" not in result
    assert "WARNING: cannot write" in result["said"]
    assert list((tmp_path / "run" / "report.html").iterdir()) == []


def test_few_images_are_said_to_be_few(
    photographs_folder: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    out = tmp_path / "run"
    train = ["train", str(photographs_folder), "--model", "squeezenet1_1", "--resolution", "64"]
    assert run([*train, "--epochs", "1", "--out", str(out)]) == 0
    table = tmp_path / "lamps.csv"
    table.write_text("file,lamp\n" + "".join(f"red/{i}.jpg,on\n" for i in range(12)))
    html = tmp_path / "page.html"
    more = ["--slice", "brightness", "--slice", table, "--html", html, "--mistakes", "2"]
    result = evaluate(out, photographs_folder, *more)
    assert "WARNING: 4 images are too few to tell top-1" in result["said"]
    assert "2 of 2 classes have fewer than 10 images" in result["said"]
    lamps = {s["name"]: s["images"] for s in result["slices"] if s["attribute"] == "lamp"}
    assert lamps == {"on": 2, "not in the file": 2}
    (light,) = (s for s in result["slices"] if s["attribute"] == "brightness")
    assert light["images"] == 4  # all are as bright
    assert len(result["mistakes"]) <= 2
    assert all(m["file"].endswith(".jpg") for m in result["mistakes"])
    assert "lamp" in html.read_text(encoding="utf-8")
    assert not (out / "report.html").exists()


def test_members_of_other_splits_are_warned_of(
    trained_run: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained_run, other)
    description = read_run(other)
    write_run(other, type(description)(**{**_fields(description), "seed": 7}))
    said = evaluate(trained_run, other, "terrain")["warnings"]
    assert any("what one held out another may have learned" in line for line in said)


def _fields(description: Any) -> dict[str, Any]:
    return {name: getattr(description, name) for name in description.__struct_fields__}


def test_what_does_not_go_together_is_refused(
    trained_run: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    given = ("evaluate", trained_run)
    assert "--compare of one TARGET" in refused(*given, "terrain", "--compare")
    line = refused(*given, trained_run, "terrain", "--compare", "--html", tmp_path / "a.html")
    assert "--compare writes no report" in line
    assert "--activity is of one run" in refused(*given, trained_run, "terrain", "--activity")
    assert "ends in .html" in refused(*given, "terrain", "--html", tmp_path / "a.txt")
    assert "expected brightness, size" in refused(*given, "terrain", "--slice", "mood")
    assert "unknown crop scheme 'tenn'" in refused(*given, "terrain", "--crops", "tenn")
    assert list(tmp_path.iterdir()) == []


def test_crops_are_those_of_a_runs_recipe(
    trained_run: Path, tmp_path: Path, evaluate: Evaluate, refused: Callable[..., str]
) -> None:
    run = tmp_path / "flipping"
    shutil.copytree(trained_run, run)
    before = read_run(run)
    at_test = msgspec.structs.replace(before.recipe.test, crops="flip")
    recipe = msgspec.structs.replace(before.recipe, test=at_test)
    write_run(run, msgspec.structs.replace(before, recipe=recipe))
    by_recipe = evaluate(run, "terrain", "--crops", "recipe")
    assert by_recipe["crops"] == "flip"
    assert by_recipe["map"] == evaluate(run, "terrain", "--crops", "flip")["map"]
    both = evaluate(trained_run, run, "terrain", "--crops", "recipe", "--compare")
    assert both["crops"] == "center, flip"
    assert both["compared"][1]["map"] == by_recipe["map"]
    assert both["compared"][0]["map"] != by_recipe["map"]
    line = refused("evaluate", tmp_path / "x.onnx", "terrain", "--crops", "recipe")
    assert "x.onnx is no run; name the scheme" in line


def test_what_a_recipe_has_at_test_beside_its_crops_is_said_to_be_left_out(
    trained_run: Path, tmp_path: Path, evaluate: Evaluate
) -> None:
    run = tmp_path / "large"
    shutil.copytree(trained_run, run)
    before = read_run(run)
    at_test = msgspec.structs.replace(
        before.recipe.test, crops="multiscale", shorter=(1.142857, 2.0), networks=7
    )
    recipe = msgspec.structs.replace(before.recipe, test=at_test)
    write_run(run, msgspec.structs.replace(before, recipe=recipe))
    assert (
        f"--crops recipe takes the crops alone: the recipe of {run} has scales of 1.14, 2 times the"
        " input and not 1, 1.14, 1.29 and 7 networks and not 1"
    ) in evaluate(run, "terrain", "--crops", "recipe")["warnings"]
    by_name = evaluate(run, "terrain", "--crops", "multiscale")["warnings"]
    assert not any("--crops recipe" in line for line in by_name)
    plain = evaluate(trained_run, "terrain", "--crops", "recipe")["warnings"]
    assert not any("--crops recipe" in line for line in plain)
