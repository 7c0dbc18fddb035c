"""A grid is made, measured, found again, predicted and told."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgecnn.data import load_data
from edgecnn.training.weights import load_tensors, save_tensors
from edgecnn_export.int8 import Int8
from edgecnn_export.sweep.folder import Folder, Latency, Variant
from edgecnn_export.sweep.make import Tell
from edgecnn_export.sweep.measure import Here, Measure, Settings
from edgecnn_export.sweep.plan import Plan, Point, grid, of_runs
from edgecnn_export.sweep.sweep import Sweep, sweep
from edgecnn_export.sweep.table import pick
from edgecnn_export.sweep.trials import one_by_one
from edgecnn_export.sweep.write import write_files
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run as run_cli
from edgecnn_runtime.errors import (
    BackendError,
    CheckFailedError,
    InputError,
    InterruptedRunError,
)

Made = tuple[Path, Sweep]

METER = Here(Settings(frames=20, threads=1))
PLAN = Plan(
    model="mobilenet_v1",
    data="terrain",
    points=grid("mobilenet_v1", "0.25,0.5", "32,48"),
    precisions=("fp32", "int8-cpu"),
    epochs=2,
    batch=32,
    supernet=True,
    calibration="minmax",
    calibration_images=32,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two widths, two resolutions, two precisions, trained as one for seconds."""
    out = tmp_path_factory.mktemp("sweeps") / "small"
    return out, sweep(out, PLAN, METER)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Path:
    """The folder of `made`, to be altered."""
    return Path(shutil.copytree(made[0], tmp_path / "copy"))


class Stopwatch:
    """A device whose latency is known: milliseconds for a precision's width."""

    where = "a stopwatch"
    settings = Settings(frames=1)

    def __init__(self, *, broken: str = "", away: str = "") -> None:
        self.broken, self.away = broken, away
        self.measured: list[tuple[str, str]] = []

    @contextmanager
    def bundle(self, path: Path) -> Iterator[Measure]:
        if path.parent.name == self.away:
            raise BackendError("it cannot be reached")

        def measure(precision: str, sha256: str) -> Latency:
            if precision == self.broken:
                raise BackendError("it has no engine for that")
            self.measured.append((path.parent.name, precision))
            macs = json.loads((path / "manifest.json").read_text())["model"]["macs"]
            ms = macs / 1e6 * (1.0 if precision == "fp32" else 0.5)
            return Latency(
                where=self.where,
                device=self.where,
                backend="none",
                sha256=sha256,
                settings=self.settings._asdict(),
                frames=1,
                first_ms=ms,
                p50=ms + 0.5,
                p90=ms,
                p95=ms,
                p99=ms,
                preprocess_ms=0.5,
                infer_ms=ms,
            )

        yield measure


def forbidden(folder: Folder, plan: Plan, points: Sequence[Point], tell: Tell) -> Iterator[Variant]:
    raise AssertionError(f"nothing was to be made, and these were: {points}")


def test_every_variant_has_its_counts_its_accuracy_and_its_latency(made: Made) -> None:
    _, found = made
    rows = found.variants
    assert len(rows) == 8
    assert [r.macs for r in rows] == sorted((r.macs for r in rows), reverse=True)
    assert {(r.width, r.resolution, r.precision) for r in rows} == {
        (w, r, p) for w in (0.25, 0.5) for r in (32, 48) for p in ("fp32", "int8-cpu")
    }
    assert {r.parameters for r in rows if r.width == 0.5} == {
        1_331_592 - 997 * 513  # the paper's with three classes in place of a thousand
    }
    assert all(r.p50_ms and r.p99_ms and r.p50_ms <= r.p99_ms for r in rows)
    assert not any(r.predicted for r in rows)
    assert max(r.top1 or 0.0 for r in rows) > 0.5  # a third is chance
    assert found.images == 300


def test_the_accuracy_is_that_of_the_bundle_on_the_images_held_out(made: Made) -> None:
    _, found = made
    row = next(r for r in found.variants if r.precision == "int8-cpu")
    val = load_data("terrain").val
    with Classifier.open(row.bundle, precision="int8-cpu", threads=1) as classify:
        right = [classify(val.frame(i))[0].index == val.targets[i] for i in range(len(val))]
    assert row.top1 == pytest.approx(np.mean(right))


def test_a_member_of_the_family_is_a_run_like_any_other(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, found = made
    run = folder / "w0.5-r48" / "run"
    assert run_cli(["evaluate", str(run), "terrain", "--json", "-"]) == 0
    top1 = json.loads(capsys.readouterr().out)["top1"]
    row = next(r for r in found.variants if (r.width, r.resolution) == (0.5, 48))
    assert row.precision == "fp32"
    assert top1 == pytest.approx(row.top1, abs=0.01)  # in PyTorch, of which one image may differ


def test_what_is_there_is_not_made_or_measured_again(copied: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.name != "sweep.json"}
    sweep(copied, PLAN, METER, trials=forbidden)
    assert before == {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.name != "sweep.json"}


def test_after_an_interruption_only_the_missing_are_made(copied: Path) -> None:
    for name in ("w0.25-r32", "w0.5-r48"):
        (copied / name / "variant.json").unlink()
    weights = (copied / "w0.5-r48" / "run" / "best.safetensors").read_bytes()
    asked: list[str] = []

    def stopped_by_hand(
        folder: Folder, plan: Plan, points: Sequence[Point], tell: Tell
    ) -> Iterator[Variant]:
        asked.extend(point.name for point in points)
        yield from one_by_one(folder, plan, points[:1], tell)
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="3 of 4 networks are made"):
        sweep(copied, PLAN, METER, trials=stopped_by_hand)
    assert asked == ["w0.5-r48", "w0.25-r32"]

    def told(line: str) -> None:
        assert "training" not in line or "as one" in line

    found = sweep(copied, PLAN, METER, tell=told)
    assert len(found.variants) == 8
    assert (copied / "w0.5-r48" / "run" / "best.safetensors").read_bytes() == weights


def test_another_training_in_the_same_folder_is_refused(copied: Path) -> None:
    for other, what in (
        (msgspec.structs.replace(PLAN, epochs=3), "epochs"),
        (msgspec.structs.replace(PLAN, points=PLAN.points[1:]), "grid"),
    ):
        with pytest.raises(InputError, match=f"another {what}.*--overwrite"):
            sweep(copied, other, METER)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="exists and is no sweep"):
        sweep(tmp_path, PLAN, METER, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_another_device_is_measured_anew(copied: Path) -> None:
    watch = Stopwatch()
    found = sweep(copied, PLAN, watch, trials=forbidden)
    assert len(watch.measured) == 8
    assert found.device == "a stopwatch"
    sweep(copied, PLAN, watch, trials=forbidden)
    assert len(watch.measured) == 8


def test_with_three_measured_the_fourth_is_predicted_and_never_picked(copied: Path) -> None:
    watch = Stopwatch()
    found = sweep(copied, PLAN, watch, measure=3, budget_ms=100.0)
    assert len(watch.measured) == 6
    guessed = [r for r in found.variants if r.predicted]
    assert len(guessed) == 2
    for row in guessed:
        expected = row.macs / 1e6 * (1.0 if row.precision == "fp32" else 0.5) + 0.5
        assert row.p50_ms == pytest.approx(expected, rel=0.02)
    assert found.pick is not None
    assert not found.pick.predicted
    assert [p.predicted for p in found.predictions] == [1, 1]


def test_what_a_device_cannot_run_is_told_and_the_rest_is_measured(copied: Path) -> None:
    found = sweep(copied, PLAN, Stopwatch(broken="int8-cpu"))
    assert len(found.problems) == 4
    assert all("int8-cpu: it has no engine for that" in problem for problem in found.problems)
    assert [r.p50_ms is None for r in found.variants] == [False, True] * 4


def test_a_device_that_is_away_for_a_while_is_told_and_the_rest_is_measured(copied: Path) -> None:
    found = sweep(copied, PLAN, Stopwatch(away="w0.5-r32"))
    assert found.problems == ["w0.5-r32: it cannot be reached"]
    missing = {(r.width, r.resolution) for r in found.variants if r.p50_ms is None}
    assert missing == {(0.5, 32)}
    watch = Stopwatch()
    assert not sweep(copied, PLAN, watch).problems
    assert watch.measured == [("w0.5-r32", "fp32"), ("w0.5-r32", "int8-cpu")]


def test_a_folder_from_another_machine_is_measured_anew(copied: Path) -> None:
    file = copied / "w0.5-r48" / "latency.fp32.json"
    there = {**json.loads(file.read_text()), "device": "another machine, 64 cores", "p50": 0.001}
    file.write_text(json.dumps(there))
    found = sweep(copied, PLAN, METER, trials=forbidden)
    assert min(r.p50_ms or 0 for r in found.variants) > 0.001
    assert "another machine" not in found.device


def test_what_is_made_anew_is_measured_anew(copied: Path) -> None:
    watch = Stopwatch()
    sweep(copied, PLAN, watch)
    watch.measured.clear()
    (copied / "w0.5-r48" / "variant.json").unlink()
    sweep(copied, PLAN, watch)
    assert watch.measured == [("w0.5-r48", "fp32"), ("w0.5-r48", "int8-cpu")]


def test_the_time_of_training_stays_when_another_precision_is_added(tmp_path: Path) -> None:
    plan = Plan(
        model="lenet5", data="terrain", points=grid("lenet5", None, None), precisions=("fp32",)
    )
    plan = msgspec.structs.replace(plan, epochs=1, calibration="minmax", calibration_images=8)
    spent = sweep(tmp_path / "o", plan, None).seconds["train"]
    assert spent > 0
    more = msgspec.structs.replace(plan, precisions=("fp32", "int8-cpu"))
    assert sweep(tmp_path / "o", more, None).seconds["train"] == spent


def test_the_time_of_a_supernet_is_that_of_all_calls(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = copied / "supernet" / "seconds.json"
    clock.write_text("100.0")
    assert sweep(copied, PLAN, METER).seconds["supernet"] == 100.0
    shutil.rmtree(copied / "w0.5-r48")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("edgecnn_export.sweep.sweep.fit_family", stopped)
        with pytest.raises(InterruptedRunError):
            sweep(copied, PLAN, METER)
    interrupted = float(clock.read_text())
    assert interrupted > 100.0
    assert sweep(copied, PLAN, METER).seconds["supernet"] > interrupted


@pytest.mark.parametrize("budget", [1.5, 3.0, 9.0])
def test_the_pick_is_the_best_of_the_table_below_the_budget(copied: Path, budget: float) -> None:
    found = sweep(copied, PLAN, Stopwatch(), budget_ms=budget)
    below = [r for r in found.variants if r.p50_ms is not None and r.p50_ms <= budget]
    assert below
    assert len(below) < 8 or budget == 9.0
    assert found.pick is not None
    assert found.pick.top1 == max(r.top1 or 0.0 for r in below)
    assert found.pick == pick(found.variants, budget_ms=budget)


def test_the_files_tell_the_same_figures(made: Made, tmp_path: Path) -> None:
    _, found = made
    names = write_files(found, tmp_path, budget_ms=50.0)
    assert all((tmp_path / name).stat().st_size > 100 for name in names)
    whole = json.loads((tmp_path / "result.json").read_text())
    lines = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    for row, line in zip(whole["variants"], lines, strict=True):
        assert float(line["p50_ms"]) == row["p50_ms"]
        assert int(line["macs"]) == row["macs"]
        assert float(line["top1"]) == row["top1"]
    markdown = (tmp_path / "report.md").read_text()
    assert "| 0.50 mobilenet_v1-48 |" in markdown
    assert "**Width multiplier, at resolution 48**" in markdown
    assert "**Resolution, at width 0.5**" in markdown


def test_the_page_loads_nothing_and_draws_every_variant(made: Made, tmp_path: Path) -> None:
    _, found = made
    write_files(found, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r"<script|<link|<img|src=|@import|url\(http", page)
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == 2
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_command_picks_and_goes_on_where_it_was(
    copied: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = [
        *("sweep", "terrain", "--model", "mobilenet_v1", "--out", str(copied), "--supernet"),
        *("--widths", "0.25,0.5", "--resolutions", "32,48", "--epochs", "2", "--batch", "32"),
        *("--calibration", "minmax", "--calibration-images", "32", "--threads", "1"),
        *("--frames", "20", "--device-threads", "1", "--json", str(tmp_path / "found.json")),
    ]
    assert run_cli([*line, "--min-top1", "0.4"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["variants"]) == 8
    assert found["pick"]["top1"] >= 0.4
    assert "pick: width" in capsys.readouterr().out
    assert run_cli([*line, "--budget-ms", "0.0001"]) == 1
    said = capsys.readouterr()
    assert "no measured variant keeps --budget-ms 0.0001" in said.err
    assert json.loads((tmp_path / "found.json").read_text())["pick"] is None


def test_runs_that_exist_are_taken_as_they_are(made: Made, tmp_path: Path) -> None:
    runs = [str(made[0] / name / "run") for name in ("w0.25-r48", "w0.25-r32")]
    result = tmp_path / "found.json"
    line = ["sweep", "--runs", runs[0], "--runs", runs[1], "--precisions", "fp32", "--frames", "20"]
    assert run_cli([*line, "--out", str(tmp_path / "o"), "--json", str(result)]) == 0
    rows = json.loads(result.read_text())["variants"]
    assert [r["resolution"] for r in rows] == [48, 32]
    before = [r for r in made[1].variants if r.width == 0.25 and r.precision == "fp32"]
    assert [r["top1"] for r in rows] == [r.top1 for r in before]
    assert not (tmp_path / "o" / "w0.25-r48" / "run").exists()


def test_a_run_that_was_trained_on_is_exported_and_measured_anew(
    copied: Path, tmp_path: Path
) -> None:
    folders = [copied / name / "run" for name in ("w0.25-r48", "w0.25-r32")]
    model, data, seed, points = of_runs(map(str, folders))
    plan = Plan(model=model, data=data, seed=seed, points=points, precisions=("fp32",))
    watch = Stopwatch()
    before = sweep(tmp_path / "o", plan, watch)
    sweep(tmp_path / "o", plan, watch, trials=forbidden)
    trained, *_ = folders
    weights = load_tensors(trained / "best.safetensors")
    name = next(name for name, values in weights.items() if values.ndim == 2)
    save_tensors(trained / "best.safetensors", {**weights, name: 0 * weights[name]})
    after = sweep(tmp_path / "o", plan, watch)
    assert [a.top1 == b.top1 for a, b in zip(before.variants, after.variants, strict=True)] == [
        False,
        True,
    ]
    assert watch.measured[2:] == [("w0.25-r48", "fp32")]


def test_the_runs_to_take_are_not_overwritten(copied: Path) -> None:
    run = copied / "w0.25-r48" / "run"
    model, data, seed, points = of_runs([str(run)])
    plan = Plan(model=model, data=data, seed=seed, points=points, precisions=("fp32",))
    with pytest.raises(InputError, match=r"run lies in .*, which --overwrite removes"):
        sweep(copied, plan, None, overwrite=True)
    assert (run / "best.safetensors").is_file()


def test_a_precision_that_ruins_the_answers_is_left_out_and_told(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruined(int8: Int8, precision: str) -> Made:
        raise CheckFailedError(f"{precision} loses 60.0 points; try another calibration")

    monkeypatch.setattr(Int8, "make", ruined)
    (copied / "w0.25-r48" / "variant.json").unlink()
    found = sweep(copied, PLAN, Stopwatch(), measure=3)
    row = next(
        r for r in found.variants if (r.width, r.resolution, r.precision) == (0.25, 48, "int8-cpu")
    )
    assert row.top1 is None
    assert row.p50_ms is None
    assert row.why == "int8-cpu loses 60.0 points"
    assert sum(r.top1 is not None for r in found.variants) == 7
    assert any("width 0.25, resolution 48, int8-cpu" in problem for problem in found.problems)


def test_engines_stand_in_the_table_with_their_bytes(copied: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    plan = msgspec.structs.replace(
        PLAN, precisions=("fp32", "int8"), targets="sm86", compiler="tensorrt-rtx"
    )
    found = sweep(copied, plan, Stopwatch())
    assert [r.precision for r in found.variants] == ["fp32", "int8"] * 4
    for row in found.variants:
        (engine,) = row.engines
        assert engine.target == "sm86"
        assert engine.bytes == (Path(row.bundle) / engine.file).stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("terrain",), "expected DATA and --model NAME, or runs that exist"),
        (("terrain", "--model", "mobilnet_v1"), "did you mean 'mobilenet_v1'"),
        (
            ("terrain", "--model", "lenet5", "--budget-ms", "1", "--min-top1", "0.5"),
            "two ways to choose",
        ),
        (("--runs", "nowhere"), "nowhere is not a run folder"),
        (("--runs", "a", "--widths", "1"), "--widths does not go with --runs"),
        (("terrain", "--model", "lenet5", "--target", "sm1"), "sm1"),
        (
            ("terrain", "--model", "lenet5", "--device", "ssh://me:secret@board"),
            "leave the password out",
        ),
        (("terrain", "--model", "lenet5", "--device", "board"), "expected ssh://user@host"),
        (("terrain", "--model", "lenet5", "--supernet", "--precisions", "fp32"), "two or more"),
        (
            ("terrain", "--model", "mobilenet_v1", "--supernet", "--recipe", "modern"),
            "augment.mixup, augment.cutmix, ema, which a supernet does not train with",
        ),
        (("terrain", "--model", "mobilenet_v2", "--supernet"), "they cannot share weights"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(
    refused: object, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    if "sm1" in arguments:
        pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    assert callable(refused)
    assert message in refused("sweep", *arguments, "--out", tmp_path / "o", "--measure", "0")
    assert not (tmp_path / "o").exists()
