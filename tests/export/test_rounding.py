"""Half precision on a machine without: rounded as in PyTorch, infinite where FP16 ends."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.models import build
from edgecnn.models.layers import random_statistics
from edgecnn.training.inputs import to_tensor
from edgecnn_export.emulate import emulate_half
from edgecnn_export.half import to_half
from edgecnn_export.sessions import run_graph
from edgecnn_export.sources import Options, make_input
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.manifest import Input

TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
CASES = [(name, half) for name in ("mobilenet_v3_small", "resnet18") for half in TYPES]


@pytest.fixture(scope="module")
def spec() -> Input:
    return make_input(Options(), (48, 48), 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.stack([frame[:48, :48] for frame in colour_crops(8)])


@pytest.mark.parametrize(("name", "half"), CASES)
def test_a_network_is_as_inexact_as_in_pytorch(
    name: str, half: str, spec: Input, frames: np.ndarray
) -> None:
    torch.manual_seed(0)
    network = build(name, num_classes=10).eval()
    random_statistics(network, (3, 48, 48))
    graph = to_onnx(network, spec, tuple("0123456789"), GraphOptions(logits=True))
    full = run_graph(graph, frames)[1]
    emulated = run_graph(emulate_half(to_half(graph, half)), frames)[1]
    x = to_tensor(torch.from_numpy(frames), spec).to(TYPES[half])
    with torch.no_grad():
        pytorch = copy.deepcopy(network).to(TYPES[half])(x).float().numpy()
    ours, theirs = (np.sqrt(np.square(y - full).mean()) for y in (emulated, pytorch))
    assert 0.5 * theirs < ours < 2 * theirs  # there batch norm rounds too


@pytest.mark.parametrize("half", TYPES)
def test_one_layer_is_rounded_exactly_as_in_pytorch(
    half: str, spec: Input, frames: np.ndarray
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 48)
    spec = make_input(Options(), (48, 48), 3, (0.0,) * 3, (1 / 255,) * 3)
    graph = to_onnx(
        nn.Sequential(layer, nn.Flatten()).eval(), spec, tuple("abcd"), GraphOptions(logits=True)
    )
    got = run_graph(emulate_half(to_half(graph, half)), frames)[1]
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    weight, bias = (p.to(TYPES[half]).double() for p in (layer.weight, layer.bias))
    with torch.no_grad():
        exact = nn.functional.conv2d(x.double(), weight, bias).flatten(1)
    assert np.array_equal(got, exact.to(TYPES[half]).float().numpy())
    assert np.abs(got - exact.numpy()).max() > 1e-3


class Loud(nn.Module):
    """Beyond 65504 in its middle, and not at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.loud = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.loud(x) * 1e3 * 1e3 * 1e-3 * 1e-3).mean((2, 3))


@pytest.mark.parametrize(("half", "is_finite"), [("fp16", False), ("bf16", True)])
def test_what_does_not_fit_into_fp16_becomes_infinite(
    half: str, is_finite: bool, spec: Input, frames: np.ndarray
) -> None:
    torch.manual_seed(0)
    graph = to_onnx(Loud().eval(), spec, tuple("abcd"))
    halved = to_half(graph, half)
    assert np.isfinite(run_graph(emulate_half(halved), frames)[0]).all() == is_finite
    if half == "fp16":  # ONNX Runtime's CPU computes it in FP32, and shows nothing
        assert np.isfinite(run_graph(halved, frames)[0]).all()
