"""Training starts from a run, from a file of ours, or from what torchvision and timm publish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from edgecnn.commands.train import describe
from edgecnn.data import load_data
from edgecnn.models import build
from edgecnn.training import initial
from edgecnn.training.fit import fit
from edgecnn.training.initial import initialise
from edgecnn.training.run import load_network, read_run
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import InputError

OneLine = Callable[..., str]


@pytest.fixture(scope="module")
def squeezenet() -> nn.Module:
    torch.manual_seed(0)
    return models.squeezenet1_1(weights=None).eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".checkpoint.pth"])
def test_a_file_of_torchvisions_weights_gives_torchvisions_answers(
    suffix: str, squeezenet: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(squeezenet.state_dict(), path)
    else:
        state = squeezenet.state_dict()
        torch.save({"state_dict": state} if "checkpoint" in suffix else state, path)
    ours = build("squeezenet1_1").eval()
    assert initialise(ours, "squeezenet1_1", str(path)) == ()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), squeezenet(x), rtol=1e-5, atol=1e-6)


def test_published_weights_come_by_name(
    squeezenet: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initial, "_download", lambda *_: squeezenet.state_dict())  # no network here
    ours = build("squeezenet1_1", num_classes=3)
    fresh = initialise(ours, "squeezenet1_1", "torchvision:squeezenet1_1")
    assert fresh == ("classifier.1.weight", "classifier.1.bias")
    with pytest.raises(InputError, match="expected torchvision:squeezenet1_1"):
        initialise(ours, "squeezenet1_1", "timm:resnet50")


def test_training_starts_from_a_run_and_writes_it_down(trained_run: Path, tmp_path: Path) -> None:
    data = load_data("terrain")
    out = tmp_path / "second"
    described = describe(
        data, "mobilenet_v1", width=0.25, resolution="48", epochs=1, lr=1e-9, init=str(trained_run)
    )
    result = fit(described, data, out, progress=False)
    before = read_run(trained_run).metrics["top1"]
    assert read_run(out).init == str(trained_run)
    assert result.top1 > 0.75 * before  # at this rate nothing is learned, and little is forgotten
    first = next(load_network(trained_run, read_run(trained_run)).parameters())
    assert torch.allclose(next(load_network(out, read_run(out)).parameters()), first, atol=1e-5)


def test_another_number_of_classes_keeps_a_fresh_last_layer(trained_run: Path) -> None:
    ours = build("mobilenet_v1", width=0.25, num_classes=7)
    assert initialise(ours, "mobilenet_v1", str(trained_run)) == (
        "classifier.weight",
        "classifier.bias",
    )
    saved = load_tensors(trained_run / "best.safetensors")
    key = next(iter(ours.state_dict()))
    assert torch.equal(ours.state_dict()[key], saved[key])


@pytest.mark.parametrize(
    ("model", "width", "message"),
    [
        ("mobilenet_v1", "0.5", "is a run of width 0.25, and its weights fit no other"),
        ("lenet5", "1", "is a run of mobilenet_v1; expected one of lenet5"),
    ],
)
def test_a_run_of_another_network_is_refused_before_anything_is_written(
    model: str, width: str, message: str, trained_run: Path, tmp_path: Path, refused: OneLine
) -> None:
    out = tmp_path / "run"
    options = ["--model", model, "--width", width, "--init", trained_run, "--out", out]
    assert message in refused("train", "terrain", *options)
    assert not out.exists()


def test_a_file_that_is_no_weights_is_one_line(tmp_path: Path, refused: OneLine) -> None:
    file, out = tmp_path / "w.pth", tmp_path / "run"
    for content, message in ((None, "no weights at"), (b"nonsense", "not a readable file")):
        if content:
            file.write_bytes(content)
        line = refused("train", "terrain", "--model", "lenet5", "--init", file, "--out", out)
        assert message in line
    torch.save([1, 2], file)
    line = refused("train", "terrain", "--model", "lenet5", "--init", file, "--out", out)
    assert "holds no state dict" in line
    assert not out.exists()


def test_a_zoo_name_with_a_file_of_published_weights_is_exported_as_pretrained(
    squeezenet: nn.Module, tmp_path: Path, refused: OneLine
) -> None:
    file, out = tmp_path / "squeezenet.pth", tmp_path / "s.bundle"
    torch.save(squeezenet.state_dict(), file)
    options = ["--weights", str(file), "--resolution", "64"]
    assert run(["export", "squeezenet1_1", *options, "--out", str(out)]) == 0
    manifest = open_bundle(out).classifier()
    assert manifest.weights == "pretrained squeezenet.pth"
    assert (manifest.input.shorter_side, manifest.input.interpolation) == (73, "bilinear-antialias")
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\n")
    line = refused(
        "export", "squeezenet1_1", *options, "--labels", labels, "--out", tmp_path / "other"
    )
    assert "another number of classes than 2" in line
