"""A simplified graph gives the same answers with fewer nodes, and names that people can read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgecnn.models import build
from edgecnn_export.graph_file import write_graph
from edgecnn_export.sources import Options, make_input
from edgecnn_export.to_onnx import to_onnx
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.manifest import Input


@pytest.fixture(scope="module")
def spec() -> Input:
    return make_input(Options(), (40, 40), 3, (0.1, 0.5, 0.7), (0.9, 0.3, 0.2))


def exported(network: nn.Module, spec: Input, path: Path) -> onnx.GraphProto:
    model = to_onnx(network.eval(), spec, ("a", "b"))
    write_graph(model, path)
    return model.graph


def answers(path: Path, frames: np.ndarray) -> np.ndarray:
    return open_ort(path, "onnxruntime").infer(frames)


def in_pytorch(network: nn.Module, spec: Input, frames: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(v).double()[:, None, None] for v in (spec.mean, spec.std))
    with torch.no_grad():
        return network.double()((x - mean) / std).softmax(1).numpy()


@pytest.mark.parametrize("padding", [0, 2])
def test_the_scale_of_the_pixels_lies_in_the_first_weights(
    spec: Input, padding: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 2, 5, padding=padding), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    graph = exported(network, spec, tmp_path / "m.onnx")
    assert Counter(n.op_type for n in graph.node)["Mul"] == 0
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    expected = in_pytorch(network, spec, frames)
    assert np.abs(answers(tmp_path / "m.onnx", frames) - expected).max() < 1e-6


class Twice(nn.Module):
    """Reads its input in two places, so that no weight can take over the scale."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.conv(x) + x[:, :2]).mean((2, 3))


class Grouped(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 2, 1), nn.AvgPool2d(38), nn.Flatten()
        )


@pytest.mark.parametrize("network", [Twice(), Grouped()])
def test_the_scale_stays_where_no_weight_can_take_it(
    network: nn.Module, spec: Input, tmp_path: Path
) -> None:
    graph = exported(network, spec, tmp_path / "m.onnx")
    assert Counter(n.op_type for n in graph.node)["Mul"] == 1
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
    expected = in_pytorch(network, spec, frames)
    assert np.abs(answers(tmp_path / "m.onnx", frames) - expected).max() < 1e-5


def test_batch_norm_is_folded_into_what_stands_before_it(spec: Input, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
        nn.BatchNorm1d(2),
    )
    for norm in (network[1], network[5]):
        nn.init.uniform_(norm.running_mean, -1, 1)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    graph = exported(network, spec, tmp_path / "m.onnx")
    assert Counter(n.op_type for n in graph.node)["BatchNormalization"] == 0
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    expected = in_pytorch(network, spec, frames)
    assert np.abs(answers(tmp_path / "m.onnx", frames) - expected).max() < 1e-6


def test_margins_are_constants(tmp_path: Path) -> None:
    spec = make_input(Options(), (19, 19), 1, (0.5,), (0.5,))
    graph = exported(build("neocognitron", num_classes=2), spec, tmp_path / "m.onnx")
    kinds = Counter(n.op_type for n in graph.node)
    assert kinds["Pad"] == 3
    assert not {"ConstantOfShape", "Slice", "Concat", "Shape"} & set(kinds)


def test_nodes_and_weights_are_named_after_modules(tmp_path: Path) -> None:
    spec = make_input(Options(), (32, 32), 3, (0.5,) * 3, (0.5,) * 3)
    network = build("mobilenet_v1", num_classes=2, width=0.25)
    nn.init.ones_(network.get_submodule("classifier").bias)  # a bias of zeros is left out
    graph = exported(network, spec, tmp_path / "m.onnx")
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    assert {"features.0.0/Conv", "features.1.0.0/Conv", "classifier/Gemm", "Softmax"} <= set(names)
    constants = {i.name for i in graph.initializer}
    assert {"features.1.0.0.weight", "classifier.weight", "classifier.bias"} <= constants
    assert network.get_submodule("features.1.0.0") is not None
