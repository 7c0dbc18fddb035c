"""A bundle is written when its graph gives PyTorch's answers, and not otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgecnn.data import load_data
from edgecnn.training.run import load_network, read_run
from edgecnn_export import sources
from edgecnn_export.export import export
from edgecnn_export.sources import Options, open_source
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.bundle import open_bundle, read_golden
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import CheckFailedError, InputError
from edgecnn_runtime.manifest import Input

OneLine = Callable[..., str]


def test_a_trained_bundle_describes_itself(trained_bundle: Path, trained_run: Path) -> None:
    bundle = open_bundle(trained_bundle)
    manifest, run = bundle.manifest, read_run(trained_run)
    bundle.check()
    assert manifest.weights == "trained"
    assert manifest.labels == ("brick", "grass", "gravel")
    assert manifest.input == run.input
    assert manifest.metrics["top1"] == run.metrics["top1"]
    assert manifest.model.macs
    assert manifest.provenance["parity"]["fp32"]["top1_agreement"] == 1.0


def test_golden_frames_have_colour_and_the_answers_of_pytorch(
    trained_bundle: Path, trained_run: Path
) -> None:
    golden = read_golden(open_bundle(trained_bundle))
    assert len(golden.frames) == 16
    coloured = [f for f in golden.frames if np.abs(f[..., 0].astype(int) - f[..., 2]).mean() > 1]
    assert len(coloured) == 10
    with Classifier.open(trained_bundle) as classify:
        answers = classify.probabilities(golden.frames)
    assert np.abs(answers - golden.probabilities).max() < 1e-5
    assert trained_run.is_dir()


def _swapped(network: nn.Module, spec: Input) -> tuple[nn.Module, Input]:
    return network, msgspec.structs.replace(spec, mean=spec.mean[::-1], std=spec.std[::-1])


def _wrong_mean(network: nn.Module, spec: Input) -> tuple[nn.Module, Input]:
    return network, msgspec.structs.replace(spec, mean=(0.5, 0.5, 0.5))


def _no_batch_norm(network: nn.Module, spec: Input) -> tuple[nn.Module, Input]:
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            network.set_submodule(name, nn.Identity())
    return network, spec


@pytest.mark.parametrize(
    "broken",
    [_swapped, *(pytest.param(b, marks=pytest.mark.slow) for b in (_wrong_mean, _no_batch_norm))],
)
def test_a_graph_that_disagrees_is_not_written(
    broken: Callable[[nn.Module, Input], tuple[nn.Module, Input]],
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = read_run(trained_run)

    def export_broken(
        _: nn.Module, spec: Input, labels: tuple[str, ...], options: GraphOptions
    ) -> onnx.ModelProto:
        network, other = broken(load_network(trained_run, run), spec)
        return to_onnx(network, other, labels, options)

    monkeypatch.setattr(sources, "to_onnx", export_broken)
    with pytest.raises(CheckFailedError, match="differ by"):
        export(open_source(str(trained_run), Options()), tmp_path / "broken.bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_zoo_name_needs_random_and_then_says_so(tmp_path: Path, refused: OneLine) -> None:
    line = refused("export", "lenet5", "--out", tmp_path / "b")
    assert "--random" in line
    assert list(tmp_path.iterdir()) == []
    export(open_source("lenet5", Options(random=True)), tmp_path / "b")
    assert open_bundle(tmp_path / "b").manifest.is_random


def test_an_export_replaces_a_bundle_and_nothing_else(tmp_path: Path) -> None:
    source = open_source("lenet5", Options(random=True))
    export(source, tmp_path / "b")
    export(source, tmp_path / "b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not ours to replace"):
        export(source, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder into which torchvision downloads, with a file of weights in place already."""
    from torchvision import models

    weights = models.MobileNet_V3_Large_Weights.DEFAULT
    torch.manual_seed(1)
    state = models.mobilenet_v3_large(weights=None).state_dict()
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / weights.url.rsplit("/", 1)[1])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return folder


def test_torchvision_comes_with_its_labels_and_its_preprocessing(
    torch_home: Path, tmp_path: Path
) -> None:
    export(open_source("torchvision:mobilenet_v3_large", Options()), tmp_path / "b")
    manifest = open_bundle(tmp_path / "b").manifest
    assert manifest.weights == "pretrained MobileNet_V3_Large_Weights.IMAGENET1K_V2"
    assert len(manifest.labels) == 1000
    assert manifest.labels[207] == "golden retriever"
    spec = manifest.input
    assert (spec.shorter_side, spec.crop) == (232, (224, 224))
    assert (spec.interpolation, spec.color) == ("bilinear-antialias", "rgb")
    assert manifest.model.parameters == 5_483_032


def test_weights_from_a_file_stand_in_for_the_download(torch_home: Path) -> None:
    file = next(torch_home.iterdir())
    source = open_source("torchvision:mobilenet_v3_large", Options(weights=file))
    assert source.weights == f"pretrained {file.name}"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="does not fit"):
        open_source("torchvision:mobilenet_v3_small", Options(weights=tmp_path / "other.pth"))


class _Foreign(nn.Module):
    """Four classes; `shape` is what stands between the features and the answer."""

    def __init__(self, *, softmax: bool, shape: str) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(8, 4)
        self.softmax, self.shape = softmax, shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x).flatten(1)
        if self.shape == "reshape":
            x = x.reshape(1, 2, 4).reshape(1, 8)
        elif self.shape == "stuck":  # the batch is gone: no graph of this can be freed
            x = x.reshape(8, 1).transpose(0, 1) + x.reshape(2, 4).sum()
        out = self.head(x)
        return out.softmax(1) if self.softmax else out


def _somebody_elses(path: Path, *, batch: int | str, softmax: bool, shape: str = "") -> None:
    """A float NCHW classifier, as other exporters write it."""
    torch.manual_seed(0)
    torch.onnx.export(
        _Foreign(softmax=softmax, shape=shape).eval(),
        (torch.randn(1, 3, 40, 56),),
        str(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "n"}, "y": {0: "n"}} if batch == "n" else None,
        opset_version=13,
        dynamo=False,
    )


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize(
    ("batch", "shape", "freed"),
    [("n", "", True), (1, "", True), (1, "reshape", True), (1, "stuck", False)],
)
def test_somebody_elses_onnx_becomes_a_bundle(
    batch: int | str, shape: str, freed: bool, softmax: bool, tmp_path: Path
) -> None:
    _somebody_elses(tmp_path / "other.onnx", batch=batch, softmax=softmax, shape=shape)
    options = Options(labels=("a", "b", "c", "d"), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    result = export(open_source(str(tmp_path / "other.onnx"), options), tmp_path / "b")
    assert result.artifacts[0].parity.max_abs < 1e-5
    with Classifier.open(tmp_path / "b") as classify:
        assert classify.backend.input_shape == (40, 56, 3)
        answers = classify.probabilities([np.zeros((80, 90, 3), np.uint8)] * 3)
    assert np.allclose(answers.sum(1), 1, atol=1e-5)
    graph = onnx.load(tmp_path / "b" / "model.fp32.onnx").graph
    assert (graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch") == freed


def test_an_onnx_that_is_no_classifier_is_one_line(tmp_path: Path, refused: OneLine) -> None:
    cut = tmp_path / "cut.onnx"
    _somebody_elses(cut, batch=1, softmax=True)
    model = onnx.load(cut)
    cut.write_bytes(cut.read_bytes()[:500])
    assert "not a readable ONNX graph" in refused("export", cut, "--out", tmp_path / "b")
    two = tmp_path / "two.onnx"
    model.graph.input.append(onnx.helper.make_tensor_value_info("z", 1, [1]))
    onnx.save(model, two)
    assert "2 inputs" in refused("export", two, "--out", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_parity_takes_fewer_photographs_where_they_are_large(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecnn_export.export.REAL_BYTES", 2**20)
    frame = load_data("terrain").val.frame(0)
    result = export(open_source(str(trained_run), Options()), tmp_path / "b", colour=2)
    assert result.artifacts[0].parity.frames == 2 + max(16, 2**20 // frame.nbytes)
