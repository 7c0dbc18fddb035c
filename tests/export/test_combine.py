"""Several networks and several crops are one bundle, which answers with the mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.commands.train import describe
from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.crops import with_room
from edgecnn.evaluation.predict import in_pytorch, predict_all
from edgecnn.training.fit import fit
from edgecnn.training.inputs import to_tensor
from edgecnn.training.run import load_network, read_run, write_run
from edgecnn_export.combine import combine, open_sources
from edgecnn_export.export import export
from edgecnn_export.sources import Options, open_source
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run as run_cli
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

OneLine = Callable[..., str]
Frame = NDArray[np.uint8]
Answers = NDArray[np.float32]

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.fixture(scope="module")
def runs(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three networks that were trained on terrain, two of them for a moment only."""
    folder = tmp_path_factory.mktemp("members")
    data = load_data("terrain")
    for name, width in (("mobilenet_v1", 0.5), ("mobilenet_v3_small", 0.25)):
        run = describe(data, name, width=width, resolution="48", epochs=1)
        fit(run, data, folder / name, progress=False)
    return [trained_run, folder / "mobilenet_v1", folder / "mobilenet_v3_small"]


@pytest.fixture(scope="module")
def bundles(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three as one; two of them with ten crops; one of them with its mirror image."""
    folder, names = tmp_path_factory.mktemp("ensembles"), [str(run) for run in runs]
    made = {}
    for crops, members in (("center", names), ("flip", names[:1]), ("ten", names[::2])):
        made[crops] = folder / f"{crops}.bundle"
        precisions = ("fp32", "fp16") if crops == "flip" else ("fp32",)
        export(open_sources(members, Options(), crops), made[crops], precisions=precisions)
    return made


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Held-out terrain of each class, and colour."""
    return [*some_frames(load_data("terrain").val, 12), *colour_crops(4)]


def answers_of(bundle: Path, frames: list[Frame]) -> Answers:
    with Classifier.open(bundle) as classify:
        return classify.probabilities(frames)


def members_of(runs: list[Path]) -> list[nn.Module]:
    return [load_network(run, read_run(run)) for run in runs]


def test_three_runs_answer_with_the_mean_of_the_members(
    runs: list[Path], bundles: dict[str, Path], frames: list[Frame]
) -> None:
    alone = [in_pytorch(m, read_run(runs[0]).input)(frames) for m in members_of(runs)]
    assert min(np.abs(alone[0] - other).max() for other in alone[1:]) > 0.1
    mean = np.mean(alone, axis=0)
    in_torch = open_sources([str(run) for run in runs], Options()).predict(frames)
    assert np.abs(in_torch - mean).max() < 1e-6
    assert np.abs(answers_of(bundles["center"], frames) - mean).max() < 1e-5


def test_ten_crops_answer_with_the_mean_over_ten_slices(
    runs: list[Path], bundles: dict[str, Path], frames: list[Frame]
) -> None:
    spec = open_bundle(bundles["ten"]).classifier().input
    assert (spec.height, spec.width, spec.shorter_side, spec.crop) == (56, 56, 56, (56, 56))
    whole = np.stack([preprocess(frame, spec) for frame in frames])
    places = [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)]
    parts = [whole[:, top : top + 48, left : left + 48] for top, left in places]
    parts += [part[:, :, ::-1] for part in parts]
    rows = []
    with torch.no_grad():
        for part in parts:
            x = to_tensor(torch.from_numpy(part.copy()), spec)
            rows += [member(x).softmax(1).numpy() for member in members_of(runs[::2])]
    assert np.ptp(rows[::2], axis=0).max() > 0.1  # the crops matter
    assert np.abs(answers_of(bundles["ten"], frames) - np.mean(rows, axis=0)).max() < 1e-5


@pytest.mark.parametrize("crops", ["center", "flip", "ten"])
def test_an_answer_does_not_depend_on_the_batch(
    crops: str, bundles: dict[str, Path], frames: list[Frame]
) -> None:
    together = answers_of(bundles[crops], frames[::6])
    assert len(together) == 3
    alone = [answers_of(bundles[crops], [frame])[0] for frame in frames[::6]]
    assert np.abs(together - alone).max() < 1e-6


def test_a_mirrored_frame_has_the_same_answer_with_flip(
    bundles: dict[str, Path], frames: list[Frame]
) -> None:
    terrain = frames[:12]
    mirrored = [np.ascontiguousarray(frame[:, ::-1]) for frame in terrain]
    apart = {
        crops: np.abs(answers_of(path, terrain) - answers_of(path, mirrored)).max()
        for crops, path in bundles.items()
    }
    assert apart["flip"] < 1e-5
    assert apart["ten"] < 1e-5
    assert apart["center"] > 1e-3


def test_the_manifest_names_the_members_and_counts_the_whole(
    runs: list[Path], bundles: dict[str, Path]
) -> None:
    bundle = open_bundle(bundles["ten"])
    bundle.check()
    manifest = bundle.classifier()
    alone = [open_source(str(run), Options()).model for run in runs[::2]]
    assert manifest.model.name == (
        "ensemble of 2: mobilenet_v1 0.25, mobilenet_v3_small 0.25, 10 crops"
    )
    assert manifest.model.parameters == sum(model.parameters for model in alone)
    assert manifest.model.macs == 10 * sum(model.macs or 0 for model in alone)
    assert manifest.model.depth == 36  # of the deepest
    assert manifest.weights == "trained"
    assert manifest.metrics == {}  # a member's would not be its own
    made = manifest.provenance
    assert (made["crops"], made["data"], made["seed"]) == ("ten", "terrain", 0)
    assert [m["run"] for m in made["members"]] == [str(run) for run in runs[::2]]
    assert [m["share"] for m in made["members"]] == [0.5, 0.5]
    assert "warning" not in made


def test_a_graph_of_ten_crops_holds_each_weight_once(bundles: dict[str, Path]) -> None:
    bundle = open_bundle(bundles["ten"])
    assert bundle.onnx().bytes < 1.2 * 4 * bundle.classifier().model.parameters


def test_half_precision_answers_alike(bundles: dict[str, Path], frames: list[Frame]) -> None:
    with Classifier.open(bundles["flip"], precision="fp16") as classify:
        half = classify.probabilities(frames)
    assert 1e-6 < np.abs(half - answers_of(bundles["flip"], frames)).max() < 0.01


def test_evaluate_measures_the_ensemble(
    runs: list[Path], bundles: dict[str, Path], tmp_path: Path
) -> None:
    result = tmp_path / "figures.json"
    assert run_cli(["evaluate", str(bundles["center"]), "terrain", "--json", str(result)]) == 0
    val = load_data("terrain").val
    spec, held_out = read_run(runs[0]).input, list(some_frames(val))
    mean = np.mean([predict_all(in_pytorch(m, spec), held_out) for m in members_of(runs)], axis=0)
    top1 = float((mean.argmax(1) == val.targets).mean())
    assert json.loads(result.read_text())["top1"] == pytest.approx(top1)


def test_members_may_have_their_own_mean_and_std(tmp_path: Path, frames: list[Frame]) -> None:
    other = {"mean": (0.1, 0.5, 0.3), "std": (0.5, 0.25, 1.0)}
    sources = [
        open_source("mobilenet_v1", Options(0.25, (32, 32), random=True, seed=seed, **named))
        for seed, named in enumerate((IMAGENET, other))
    ]
    both = combine([("a", sources[0]), ("b", sources[1])])
    mean = (sources[0].predict(frames) + sources[1].predict(frames)) / 2
    assert np.abs(both.predict(frames) - mean).max() < 1e-6
    assert both.spec.mean == IMAGENET["mean"]
    export(both, tmp_path / "b")
    assert np.abs(answers_of(tmp_path / "b", frames) - mean).max() < 1e-6


def test_one_network_may_have_crops_and_any_source_of_pytorch_will_do(tmp_path: Path) -> None:
    arguments = ["export", "torchvision:squeezenet1_1", "--random", "--resolution", "56"]
    assert run_cli([*arguments, "--crops", "five", "--out", str(tmp_path / "b")]) == 0
    manifest = open_bundle(tmp_path / "b").classifier()
    assert manifest.model.name == "squeezenet1_1, 5 crops"
    assert manifest.is_random
    assert (manifest.input.crop, manifest.input.shorter_side) == ((64, 64), 64)


def _spec(**fields: object) -> Input:
    given = {"channels": 3, "color": "rgb", **IMAGENET, **fields}
    return msgspec.convert(given, Input)


SIZES = [(480, 640), (333, 500), (501, 375), (256, 256), (96, 128), (299, 300)]


@pytest.mark.parametrize(
    ("shorter", "side", "filter_", "apart"),
    [
        (256, 224, "area+linear", 0),
        (342, 299, "area+linear", 0),
        (232, 224, "bilinear-antialias", 0.05),
    ],
)
def test_the_middle_crop_is_what_a_member_alone_would_see(
    shorter: int, side: int, filter_: str, apart: float
) -> None:
    size = {"height": side, "width": side, "crop": (side, side)}
    spec = _spec(**size, shorter_side=shorter, interpolation=filter_)
    larger = with_room(spec, "ten")
    margin = larger.height - side
    assert margin == (shorter - side) // 4 * 4
    assert larger.shorter_side == shorter
    photograph = colour_crops(1)[0]
    for height, width in SIZES:
        frame = cv2.resize(photograph, (width, height))
        whole, alone = preprocess(frame, larger), preprocess(frame, spec)
        middle = whole[margin // 2 : margin // 2 + side, margin // 2 : margin // 2 + side]
        # Pillow's filter of a box differs by a level here and there from that of a smaller one.
        assert np.abs(middle.astype(int) - alone).mean() <= apart, (height, width)


def test_the_border_of_digits_grows_and_no_crop_cuts_them() -> None:
    spec = open_source("lenet5", Options(random=True, resize="pad")).spec
    spec = msgspec.structs.replace(spec, crop=(28, 28), shorter_side=28)
    larger = with_room(spec, "ten")
    assert (larger.height, larger.width, larger.crop) == (36, 36, (28, 28))
    digit = next(some_frames(load_data("mnist5k").val))
    whole, alone = preprocess(digit, larger), preprocess(digit, spec)
    assert alone.any()
    assert np.array_equal(whole[2:34, 2:34], alone)
    for top, left in ((0, 0), (0, 4), (4, 0), (4, 4)):
        assert whole[top : top + 32, left : left + 32].sum() == alone.sum()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"height": 224, "width": 224, "crop": (224, 224), "shorter_side": 224}, (256, 256, 256)),
        ({"height": 224, "width": 224, "crop": (224, 224), "shorter_side": 226}, (256, 256, 256)),
        ({"height": 48, "width": 96, "crop": (48, 96), "shorter_side": 48}, (56, 112, 56)),
        ({"height": 48, "width": 96, "crop": (48, 96), "shorter_side": 60}, (60, 120, 60)),
        ({"height": 48, "width": 48, "resize": "stretch"}, (56, 56, None)),
    ],
)
def test_without_room_frame_and_sides_grow(
    fields: dict[str, object], expected: tuple[int, int, int | None]
) -> None:
    larger = with_room(_spec(**fields), "five")
    assert (larger.height, larger.width, larger.shorter_side) == expected


def test_crops_of_a_border_are_refused() -> None:
    with pytest.raises(InputError, match="--crops ten on resize 'letterbox', whose corners are"):
        with_room(_spec(height=48, width=48, resize="letterbox"), "ten")
    with pytest.raises(InputError, match="--crops five on resize 'pad' of 46x46 in 48x48"):
        with_room(_spec(height=48, width=48, resize="pad", crop=(46, 46), shorter_side=46), "five")


def _altered(run: Path, out: Path, **fields: object) -> Path:
    """A copy of a run that says something else of itself."""
    shutil.copytree(run, out)
    write_run(out, msgspec.structs.replace(read_run(run), **fields))
    return out


def test_members_that_see_other_pictures_are_refused(
    runs: list[Path], tmp_path: Path, refused: OneLine
) -> None:
    spec = msgspec.structs.replace(read_run(runs[1]).input, shorter_side=52)
    other = _altered(runs[1], tmp_path / "other", input=spec)
    line = refused("export", runs[0], other, "--out", tmp_path / "b")
    assert f"{other} has the input shorter_side 52, {runs[0]} has 48" in line
    line = refused("export", "lenet5", "mobilenet_v1", "--random", "--out", tmp_path / "b")
    assert "mobilenet_v1 has the input height 224, lenet5 has 32" in line
    assert not (tmp_path / "b").exists()


def test_members_with_other_labels_are_refused(
    runs: list[Path], tmp_path: Path, refused: OneLine
) -> None:
    other = _altered(runs[1], tmp_path / "other", labels=("brick", "gravel", "grass"))
    line = refused("export", runs[0], other, "--out", tmp_path / "b")
    assert "has the labels brick, gravel, grass (3 in all)" in line
    assert "has brick, grass, gravel (3 in all); expected the same" in line
    assert not (tmp_path / "b").exists()


def test_what_is_no_network_of_pytorch_is_refused(
    runs: list[Path], bundles: dict[str, Path], tmp_path: Path, refused: OneLine
) -> None:
    graph = bundles["center"] / "model.fp32.onnx"
    for models in ([runs[0], graph], [runs[0], "filter:sobel"], [graph, "--crops", "flip"]):
        line = refused("export", *models, "--out", tmp_path / "b")
        assert "cannot be combined or cropped; expected PyTorch networks" in line
    line = refused("export", "filter:sobel", "--crops", "ten", "--out", tmp_path / "b")
    assert "--crops does not go with a filter" in line
    line = refused("export", runs[0], "--crops", "fiev", "--out", tmp_path / "b")
    assert "did you mean 'five'" in line
    line = refused("export", "vgg16", "vgg19", "--weights", graph, "--out", tmp_path / "b")
    assert "--weights is a file for one MODEL, got 2: vgg16, vgg19" in line
    assert not (tmp_path / "b").exists()


def test_members_of_different_splits_are_warned_of(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = _altered(runs[2], tmp_path / "other", seed=7)
    assert run_cli(["export", str(runs[2]), str(other), "--out", str(tmp_path / "b")]) == 0
    assert run_cli(["evaluate", str(tmp_path / "b"), "terrain"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("WARNING: its members were trained on different splits") == 2
    assert "seed" not in open_bundle(tmp_path / "b").manifest.provenance


def test_one_random_member_makes_the_answers_mean_nothing(runs: list[Path]) -> None:
    trained = open_source(str(runs[0]), Options())
    chance = open_source(
        "mobilenet_v1", Options(random=True, resolution=(48, 48), labels=trained.labels)
    )
    assert combine([("a", trained), ("b", chance)]).weights == "random"
