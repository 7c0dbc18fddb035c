"""INT8 within a limit: the best calibration, the layers that cost most, fine-tuning."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch

from edgecnn.data import DataSet, load_data
from edgecnn.training.inputs import to_tensor
from edgecnn.training.quantized import Layer, Quantized
from edgecnn.training.run import load_network, read_run
from edgecnn.training.weights import load_tensors, save_tensors
from edgecnn_export import int8 as int8_module
from edgecnn_export.agreement import compare
from edgecnn_export.calibration import METHODS, ranges
from edgecnn_export.export import export
from edgecnn_export.fine_tune import fine_tuning
from edgecnn_export.held_out import HeldOut
from edgecnn_export.int8 import Int8, Int8Options
from edgecnn_export.material import held_out, material
from edgecnn_export.quantize import layers, quantize
from edgecnn_export.sensitivity import worst_first
from edgecnn_export.sources import Options, Source, open_source
from edgecnn_export.to_onnx import DEFAULT
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import CheckFailedError

OneLine = Callable[..., str]
HARD = "features.3.1.0/Conv"


class Lab(NamedTuple):
    source: Source
    data: DataSet
    graph: onnx.ModelProto
    judges: HeldOut

    def int8(self, **options: float | str | bool) -> Int8:
        settings = Int8Options(images=100, **options)
        images = material(self.source.spec, self.data, settings.images, self.judges)
        epochs = settings.qat_epochs
        tune = fine_tuning(self.source, self.data, DEFAULT, epochs) if epochs else None
        return Int8(self.graph, images, ["int8"], settings, tune)


def lab(folder: Path) -> Lab:
    source, data = open_source(str(folder), Options()), load_data("terrain")
    graph = source.graph(DEFAULT)
    return Lab(source, data, graph, held_out(graph, source.spec, source.labels, data))


@pytest.fixture(scope="module")
def easy(trained_run: Path) -> Lab:
    return lab(trained_run)


@pytest.fixture(scope="module")
def hard_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same function, but what one layer reads is a thousand times smaller in all channels but
    one, and its weights as much larger: eight bits for the whole tensor leave them nothing."""
    out = tmp_path_factory.mktemp("runs") / "hard"
    shutil.copytree(trained_run, out)
    state = load_tensors(out / "best.safetensors")
    gamma = state["features.3.0.1.weight"]  # of the batch norm before that layer
    scale = torch.full_like(gamma, 1e-3)
    scale[gamma.abs().argmax()] = 1
    gamma *= scale
    state["features.3.0.1.bias"] *= scale
    state["features.3.1.0.weight"] /= scale[None, :, None, None]
    save_tensors(out / "best.safetensors", state)
    return out


@pytest.fixture(scope="module")
def hard(hard_run: Path) -> Lab:
    return lab(hard_run)


def test_the_hard_network_is_as_good_as_before_in_fp32(easy: Lab, hard: Lab) -> None:
    before, after = (x.judges.judge_answers(x.judges.reference) for x in (easy, hard))
    assert after.points_below(before) < 3
    assert before.top1 > 0.8


def test_no_image_that_judges_calibrates(easy: Lab) -> None:
    calibrating = {image.tobytes() for image in easy.int8().material.inputs}
    judging = {image.tobytes() for image in easy.judges.inputs}
    assert len(calibrating) == 100
    assert len(judging) > 250
    assert not calibrating & judging


def test_ranges_come_from_the_training_split_alone(tmp_path: Path) -> None:
    """The pictures to train on are dark, those that are held out are white."""
    from cv2 import imwrite

    for split, level in (("train", 40), ("val", 255)):
        for label in ("a", "b"):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for number in range(3):
                imwrite(str(folder / f"{number}.png"), np.full((64, 64, 3), level, np.uint8))
    source = open_source("squeezenet1_1", Options(random=True, resolution=(64, 64)))
    graph, data = source.graph(DEFAULT), load_data(str(tmp_path))
    judges = held_out(graph, source.spec, source.labels, data)
    assert judges.targets is None  # its labels are not the model's
    maker = Int8(graph, material(source.spec, data, 500, judges), ["int8"])
    first = layers(graph)[0].input  # grey levels less the mean
    assert maker._values[first].highest == 0
    assert maker._values[first].lowest == pytest.approx(40 - 255 * 0.485, abs=1)
    assert judges.inputs.min() == 255


@pytest.mark.parametrize("which", ["easy", "hard"])
def test_auto_is_the_best_of_the_methods(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: Lab = request.getfixturevalue(which)
    maker = here.int8(max_drop=100)
    made = maker.make("int8")
    fp32 = here.judges.judge_answers(here.judges.reference)
    costs = {
        method: here.judges.judge(
            quantize(here.graph, ranges(maker._values, method, 127)), "int8"
        ).cost(fp32)
        for method in METHODS
    }
    assert len(set(costs.values())) == 3
    assert made.calibration is not None
    assert made.calibration.method == min(costs, key=costs.__getitem__)
    assert here.judges.judge(made.graph, "int8").cost(fp32) == min(costs.values())
    assert made.kept == ()


def test_sensitivity_finds_the_layer_that_was_made_hard(hard: Lab) -> None:
    made = hard.int8(calibration="minmax", sensitivity=True, max_drop=100).make("int8")
    worst, second, *_ = worst_first(made.sensitivity)
    assert worst.layer == HARD
    assert worst.divergence > 20 * second.divergence
    assert worst.top1_points > 5
    assert [cost.layer for cost in made.sensitivity] == [x.name for x in layers(hard.graph)]


def test_the_worst_layer_stays_in_fp32_until_the_drop_fits(hard: Lab) -> None:
    maker = hard.int8()
    lost = maker._calibrate(hard.graph, maker._values, "int8").judgement
    assert lost.points_below(maker.before) > 5
    made = maker.make("int8")
    assert HARD in made.kept
    assert len(made.kept) <= 2
    assert hard.judges.judge(made.graph, "int8").points_below(maker.before) <= 0.5


def test_more_than_half_of_the_layers_in_fp32_is_no_int8(
    hard_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8_module, "MOST_KEPT", 0)
    source = open_source(str(hard_run), Options())
    with pytest.raises(CheckFailedError, match=r"loses .* points of top-1 .* --qat-epochs"):
        export(source, tmp_path / "b", precisions=("fp32", "int8"), int8=Int8Options(images=50))
    assert list(tmp_path.iterdir()) == []


def test_what_trains_in_int8_is_what_is_exported(hard: Lab, hard_run: Path) -> None:
    """The network that rounds in PyTorch, and the graph with its nodes, run by ONNX Runtime."""
    maker = hard.int8()
    found = ranges(maker._values, "minmax", 127)
    network = load_network(hard_run, read_run(hard_run))
    order = [Layer(layer.input, layer.weights) for layer in layers(hard.graph)]
    x = to_tensor(torch.from_numpy(hard.judges.inputs), hard.source.spec)
    largest = {name: max(-low, high) for name, (low, high) in found.items()}
    largest[order[0].input] = float(x.abs().max())
    with torch.no_grad():
        rounded = Quantized(network, order, largest)(x).softmax(1).numpy()
        whole = network(x).softmax(1).numpy()
    answers = hard.judges.judge(quantize(hard.graph, found), "int8")
    assert hard.judges.judge_answers(rounded).top1 == pytest.approx(answers.top1, abs=0.02)
    assert hard.judges.judge_answers(rounded).divergence == pytest.approx(
        answers.divergence, rel=0.05
    )
    assert hard.judges.judge_answers(whole).divergence < 1e-6  # rounding ends with the block


@pytest.mark.slow
def test_fine_tuning_gives_back_what_eight_bits_took(hard: Lab) -> None:
    maker = hard.int8(qat_epochs=3, max_drop=2.0)
    lost = maker._calibrate(hard.graph, maker._values, "int8").judgement
    made = maker.make("int8")
    assert lost.points_below(maker.before) > 5
    assert made.kept == ()
    assert hard.judges.judge(made.graph, "int8").points_below(maker.before) <= 2.0
    assert made.calibration is not None
    assert made.calibration.method.startswith("fine-tuned")


def test_answers_that_are_not_numbers_are_refused() -> None:
    good = np.full((4, 3), 1 / 3, np.float32)
    bad = good.copy()
    bad[2, 1] = np.nan
    assert compare(good, good, "int8").holds
    assert not compare(good, bad, "int8").holds


def test_a_bundle_says_how_its_int8_was_made(trained_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    bundle, picture, result = (tmp_path / n for n in ("b", "layers.png", "result.json"))
    options = ["--precision", "fp32,int8,int8-cpu", "--calibration-images", "60"]
    paths = ["--out", bundle, "--sensitivity", picture, "--json", result]
    assert run(["export", *map(str, [trained_run, *options, *paths])]) == 0
    said = json.loads(result.read_text())
    whole, int8, cpu = said["artifacts"]
    assert whole["calibration"] is None
    for artifact in (int8, cpu):
        assert artifact["calibration"]["method"] in METHODS
        assert artifact["calibration"]["images"] == 60
        assert artifact["calibration"]["source"] == "the training images of terrain"
        assert artifact["bytes"] < 0.4 * whole["bytes"]
    assert len(said["sensitivity"]) == 28
    assert picture.read_bytes().startswith(b"\x89PNG")
    verdict = said["verdict"]
    assert [row["precision"] for row in verdict["rows"]] == ["fp32", "int8", "int8-cpu"]
    assert verdict["use"] in ("fp32", "int8", "int8-cpu")
    assert verdict["rows"][0]["top1"] == pytest.approx(open_bundle(bundle).manifest.metrics["top1"])
    assert run(["verify", str(bundle)]) == 0
    engines = tmp_path / "engines.json"
    assert run(["compile", str(bundle), "--target", "sm86", "--json", str(engines)]) == 0
    compiled = json.loads(engines.read_text())["engines"]
    assert [engine["precision"] for engine in compiled] == ["fp32", "int8"]


def test_without_images_colour_crops_calibrate_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "export squeezenet1_1 --random --resolution 64 --precision int8-cpu"
    options = ["--calibration-images", "20", "--calibration", "minmax"]
    assert run([*command.split(), *options, "--out", str(tmp_path / "b")]) == 0
    assert "calibrated by minmax on 20 of colour crops" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--precision", "int8", "--calibration", "minimax"], "did you mean 'minmax'"),
        (["--precision", "int8", "--max-drop", "1"], "name them with --data"),
        (["--precision", "int8", "--qat-epochs", "1"], "expected a run folder"),
        (["--calibration", "entropy"], "add int8 or int8-cpu"),
        (["--precision", "int8", "--sensitivity", "x.gif"], "ends in .png or .svg"),
    ],
)
def test_an_option_that_does_not_fit_is_one_line(
    options: list[str], says: str, tmp_path: Path, refused: OneLine
) -> None:
    line = refused("export", "lenet5", "--random", *options, "--out", tmp_path / "b")
    assert says in line
    assert not (tmp_path / "b").exists()
