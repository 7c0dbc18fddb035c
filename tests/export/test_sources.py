"""MODEL may be anything: torchvision's, timm's, a callable of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgecnn.data import colour_crops
from edgecnn.training.inputs import IMAGENET_MEAN, IMAGENET_STD
from edgecnn_export.export import export
from edgecnn_export.sources import Options, open_source
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.preprocess import preprocess

OneLine = Callable[..., str]
SMALL = "timm:test_efficientnet"  # timm's own for tests: 0.36 M parameters


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may ask timm's host for weights."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def _varies(source: object, frames: int = 4) -> float:
    answers = source.predict(colour_crops(frames))
    return float((np.abs(answers - answers.mean(0)).max(1) / answers.max(1)).max())


# timm


def test_a_timm_network_exports_with_its_labels_and_its_preprocessing(tmp_path: Path) -> None:
    source = open_source(SMALL, Options(random=True))
    export(source, tmp_path / "b")
    manifest = open_bundle(tmp_path / "b").manifest
    assert manifest.is_random
    assert manifest.labels[207] == "golden retriever"
    assert manifest.input.resize == "crop"
    assert (manifest.input.height, manifest.input.shorter_side) == (160, 168)  # 160 / 0.95
    assert (manifest.input.mean, manifest.input.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert _varies(source) > 0.01


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        ("test_efficientnet", None),  # bicubic, cuts 160 of 168
        ("mobilenetv3_small_050", None),  # bicubic, cuts 224 of 256
        ("mobilenetv3_small_050", (96, 96)),
        ("ghostnet_100", None),  # bilinear
        ("resnetv2_18", (64, 64)),
    ],
)
def test_the_device_sees_what_timms_own_transform_gives(
    name: str, resolution: tuple[int, int] | None
) -> None:
    import timm

    spec = open_source(f"timm:{name}", Options(random=True, resolution=resolution)).spec
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    if resolution:
        config["input_size"] = (3, *resolution)
    theirs = timm.data.create_transform(**config, is_training=False)
    for frame in colour_crops(4):
        expected = theirs(Image.fromarray(frame[:, :, ::-1])).permute(1, 2, 0).numpy()
        image = preprocess(frame, spec).astype(np.float32) / 255
        ours = (image - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
        levels = np.abs(ours - expected) * np.array(spec.std) * 255
        assert levels.mean() < 0.5
        assert levels.max() < 16


def test_a_timm_network_of_which_nothing_is_published_is_exported_too() -> None:
    source = open_source("timm:test_mambaout", Options(random=True, resolution=(64, 64)))
    assert source.weights == "random"
    assert _varies(source) > 1e-4


def test_a_squashing_network_sees_the_whole_frame() -> None:
    source = open_source("timm:efficientnet_b5", Options(random=True, resolution=(64, 64)))
    assert source.spec.resize == "stretch"


def test_a_preprocessing_that_a_bundle_cannot_describe_is_refused(refused: OneLine) -> None:
    line = refused("export", "timm:tf_efficientnetv2_b3", "--random", "--out", "b")
    assert "266x266 by 'squash'" in line
    assert "--resize stretch" in line


def test_a_file_of_timms_weights_stands_in_for_the_download(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(3)
    theirs = timm.create_model("test_efficientnet", num_classes=4).eval()
    wrapped = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"state_dict": wrapped, "epoch": 7}, tmp_path / "mine.pth")
    labels = ("a", "b", "c", "d")
    source = open_source(SMALL, Options(weights=tmp_path / "mine.pth", labels=labels))
    assert source.weights == "pretrained mine.pth"
    frames = colour_crops(2)
    with torch.no_grad():
        x = torch.from_numpy(np.stack([preprocess(f, source.spec) for f in frames]))
        mean, std = (torch.tensor(v)[:, None, None] for v in (source.spec.mean, source.spec.std))
        x = (x.permute(0, 3, 1, 2) / 255 - mean) / std
        expected = theirs(x).softmax(1).numpy()
    assert np.abs(source.predict(frames) - expected).max() < 1e-5
    with pytest.raises(InputError, match="--labels"):
        open_source(SMALL, Options(weights=tmp_path / "mine.pth"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("timm:test_efficientnt", "did you mean 'test_efficientnet'"),
        ("timm:resnet18.nonsense", "no weights called resnet18.nonsense; expected one of:"),
        ("timm:test_efficientnet", "cannot be downloaded"),
        ("timm:efficientnet_b0_g8_gn", "publishes no weights"),
        ("torchvision:resnet19", "did you mean 'resnet18'"),
    ],
)
def test_a_name_or_weights_that_cannot_be_had_are_one_line(
    name: str, says: str, refused: OneLine
) -> None:
    assert says in refused("export", name, "--out", "b")


def test_without_timm_the_line_says_what_to_install(
    refused: OneLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    assert "pip install timm" in refused("export", SMALL, "--random", "--out", "b")


def test_options_that_exclude_each_other_are_one_line(tmp_path: Path, refused: OneLine) -> None:
    both = ("--random", "--weights", tmp_path / "x.pth")
    assert "exclude each other" in refused("export", SMALL, *both, "--out", "b")
    wide = ("--random", "--width", "0.5")
    assert "--width 0.5 goes with a name of the zoo" in refused(
        "export", SMALL, *wide, "--out", "b"
    )


# torchvision


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_with_heads_export_without_them(name: str) -> None:
    from torchvision import models

    source = open_source(f"torchvision:{name}", Options(random=True, resolution=(75, 75)))
    published = models.get_model_weights(name).DEFAULT.meta["num_params"]
    heads = 24_000_000 - 1_000_000 if name == "inception_v3" else 6_624_904
    assert source.model.parameters <= published
    assert not any("aux" in key.lower() for key in source.network.state_dict())
    assert heads
    assert _varies(source) > 0.01


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_torchvisions_renormalisation_becomes_part_of_mean_and_std(
    name: str, tmp_path: Path
) -> None:
    """With published weights these networks renormalise inside; a file of them is the same."""
    from torchvision import models

    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None, init_weights=False, transform_input=True)
    torch.save(theirs.state_dict(), tmp_path / "published.pth")  # with the heads in it
    theirs.eval()
    options = Options(weights=tmp_path / "published.pth", resolution=(75, 75))
    source = open_source(f"torchvision:{name}", options)
    assert source.spec.mean == source.spec.std == (0.5, 0.5, 0.5)
    frames = colour_crops(2)
    images = torch.from_numpy(np.stack([preprocess(f, source.spec) for f in frames]))
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.no_grad():
        expected = theirs((images.permute(0, 3, 1, 2) / 255 - mean) / std).softmax(1).numpy()
    assert np.abs(source.predict(frames) - expected).max() < 1e-6


def test_labels_of_another_number_than_the_downloaded_classes_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torchvision import models

    real = models.get_model
    monkeypatch.setattr(models, "get_model", lambda name, weights: real(name, weights=None))
    with pytest.raises(InputError, match="answers with 1000 classes, got 2 labels"):
        open_source("torchvision:squeezenet1_1", Options(labels=("a", "b"), resolution=(64, 64)))


# a callable of your own

MODULE = """
from typing import NamedTuple
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=7, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))

class Both(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor

class Two(Net):
    def forward(self, x):
        features = self.norm(self.conv(x)).relu().mean((2, 3))
        return Both(features, self.fc(features))

class Named(Two):
    def forward(self, x):
        return super().forward(x)._asdict()

class Heads(Net):
    def forward(self, x):
        return [super().forward(x), super().forward(x) + 1]

class Unnamed(Two):
    def forward(self, x):
        return tuple(super().forward(x))

class Map(Net):
    def forward(self, x):
        return self.conv(x)

def gray():
    return Net(channels=1)

def no_network():
    return "a network"

def needs(size):
    return Net(size)

def breaks():
    raise OSError("my file is not there\\nand more")

made = Net()
a_number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with a module of one's own in it."""
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    __import__("sys").modules.pop("mine", None)


OWN = Options(random=True, resolution=(32, 48))


def test_a_callable_with_a_checkpoint_exports(mine: Path, refused: OneLine) -> None:
    from edgecnn_runtime.cli import run

    source = open_source("mine:Net", OWN)
    torch.save(
        {"model": {f"model.{k}": v for k, v in source.network.state_dict().items()}}, "net.pt"
    )
    (mine / "names.txt").write_text("\n".join("abcdefg"))
    line = "export mine:Net --weights net.pt --resolution 32x48 --labels names.txt --out b"
    assert run([*line.split(), "--mean", "0.4,0.5,0.6", "--std", "0.2,0.3,0.4"]) == 0
    manifest = open_bundle(mine / "b").manifest
    assert manifest.weights == "pretrained net.pt"
    assert manifest.labels == tuple("abcdefg")
    assert (manifest.input.height, manifest.input.width, manifest.input.channels) == (32, 48, 3)
    assert manifest.input.mean == (0.4, 0.5, 0.6)
    assert manifest.provenance["callable"] == "mine:Net"


def test_labels_decide_the_number_of_classes_where_the_callable_takes_it(mine: Path) -> None:
    options = Options(random=True, resolution=(32, 32), labels=("a", "b"))
    assert open_source("mine:Net", options).labels == ("a", "b")
    with pytest.raises(InputError, match="answers with 7 classes, got 2 labels"):
        open_source("mine:gray", options)


def test_the_input_channels_are_found_by_trying(mine: Path) -> None:
    assert open_source("mine:Net", OWN).spec.color == "rgb"
    assert open_source("mine:gray", OWN).spec.color == "gray"
    assert open_source("mine:made", OWN).spec.mean == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["Two", "Named", "Heads"])
def test_the_logits_are_found_among_several_answers(name: str, mine: Path) -> None:
    source = open_source(f"mine:{name}", OWN)
    assert source.labels == tuple(f"class {i}" for i in range(7))
    result = export(source, mine / "b")
    assert result.exporter == "torchscript"
    assert result.artifacts[0].parity.max_abs < 1e-5


def test_answers_that_have_no_name_are_told_apart_by_the_labels(mine: Path) -> None:
    with pytest.raises(InputError, match=r"\(N, 7\) and \(N, 8\); name the classes with --labels"):
        open_source("mine:Unnamed", OWN)
    options = Options(random=True, resolution=(32, 32), labels=tuple("abcdefg"))
    assert len(open_source("mine:Unnamed", options).labels) == 7


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.at_all:Net", "no module 'nowhere' for nowhere.at_all:Net"),
        ("mine:Nett", "unknown name in mine 'Nett'; did you mean 'Net'?"),
        ("mine:a_number", "is of type int; expected a callable"),
        ("mine:no_network", "returns of type str"),
        ("mine:needs", "cannot be called without arguments (missing a required argument: 'size')"),
        ("mine:breaks", "cannot be called: my file is not there"),
        ("mine:Map", "answers Nx3x32x48 with a tensor (N, 8, 15, 23); expected logits"),
        ("mine:", "is no model; expected a run folder"),
    ],
)
def test_what_is_no_classifier_is_one_line(
    name: str, says: str, mine: Path, refused: OneLine
) -> None:
    line = refused("export", name, "--random", "--resolution", "32x48", "--out", "b")
    assert says in line
    assert not (mine / "b").exists()


def test_a_module_that_fails_to_import_is_one_line(mine: Path, refused: OneLine) -> None:
    (mine / "broken_module.py").write_text("import a_package_that_is_not_there\n")
    line = refused("export", "broken_module:Net", "--random", "--resolution", "32", "--out", "b")
    assert "broken_module cannot be imported: No module named 'a_package_that_is_not_there'" in line


def test_a_callable_needs_weights_and_a_resolution(mine: Path, refused: OneLine) -> None:
    assert "--weights" in refused("export", "mine:Net", "--resolution", "32", "--out", "b")
    assert "--resolution" in refused("export", "mine:Net", "--random", "--out", "b")
