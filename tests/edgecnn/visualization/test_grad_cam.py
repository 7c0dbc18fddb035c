"""Grad-CAM against a computation by hand, and against pictures whose deciding half is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.data import load_data
from edgecnn.visualization.grad_cam import enlarged, grad_cam


def _network(kernels: torch.Tensor, weights: torch.Tensor) -> nn.Sequential:
    """Convolution, ReLU, global average, linear: the network of the paper's equations."""
    conv = nn.Conv2d(1, len(kernels), kernels.shape[-1], bias=False)
    conv.weight.data = kernels[:, None].clone()
    linear = nn.Linear(len(kernels), len(weights), bias=False)
    linear.weight.data = weights.clone()
    return nn.Sequential(
        conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear
    ).eval()


def test_the_map_is_the_one_computed_by_hand() -> None:
    frame = load_data("terrain").val.frame(0)[:20, :24, 0]
    x = torch.from_numpy(frame.copy())[None, None].float() / 255
    kernels = torch.tensor([[[1.0, -1.0], [1.0, -1.0]], [[1.0, 1.0], [-1.0, -1.0]]])
    weights = torch.tensor([[2.0, -3.0], [-1.0, 4.0]])
    found = grad_cam(_network(kernels, weights), x, "1", torch.tensor([1]))
    places = 19 * 23
    by_hand = torch.zeros(19, 23)
    for row in range(19):
        for column in range(23):
            patch = x[0, 0, row : row + 2, column : column + 2]
            total = 0.0
            for c in range(2):
                answer = max(0.0, float((patch * kernels[c]).sum()))
                total += float(weights[1, c]) / places * answer
            by_hand[row, column] = max(0.0, total)
    assert by_hand.max() > 0
    assert torch.allclose(found[0], by_hand, atol=1e-7)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_half_that_decides_is_lit(side: str) -> None:
    """Upright stripes on one half, level ones on the other; a class for each."""
    stripes = (torch.arange(32) % 4 < 2).float()
    x = torch.zeros(1, 1, 32, 32)
    x[0, 0, :, :] = stripes[:, None]  # level
    half = slice(0, 16) if side == "left" else slice(16, 32)
    x[0, 0, :, half] = stripes[half]  # upright
    upright = torch.tensor([[-1.0, 1.0], [-1.0, 1.0]])
    network = _network(torch.stack([upright, upright.T]), torch.eye(2))
    for target, inside in ((0, half), (1, slice(16, 32) if side == "left" else slice(0, 16))):
        found = enlarged(grad_cam(network, x, "1", torch.tensor([target])), (32, 32))[0]
        assert float(found[:, inside].sum() / found.sum()) > 0.9


def test_a_class_that_nothing_speaks_for_is_dark_and_not_nan() -> None:
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = _network(torch.ones(1, 2, 2), torch.tensor([[1.0], [-1.0]]))
    found = enlarged(grad_cam(network, x, "1", torch.tensor([1])), (8, 8))
    assert found.shape == (1, 8, 8)
    assert not found.any()


def test_each_image_may_have_its_own_class() -> None:
    frames = [load_data("terrain").val.frame(i)[:16, :16, :1].copy() for i in (0, 150)]
    x = torch.stack([torch.from_numpy(f).permute(2, 0, 1).float() / 255 for f in frames])
    torch.manual_seed(0)
    network = _network(torch.randn(4, 3, 3), torch.randn(3, 4))
    both = grad_cam(network, x, "1", torch.tensor([2, 0]))
    for n, target in ((0, 2), (1, 0)):
        alone = grad_cam(network, x[n : n + 1], "1", torch.tensor([target]))
        assert torch.allclose(both[n], alone[0], atol=1e-6)
