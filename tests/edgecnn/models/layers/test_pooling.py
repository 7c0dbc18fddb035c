"""Pooling between average and max, its tables, and pooling with weights."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import AdaptivePool, GreyDilation, LpPool2d, Striding, Subsampling
from edgecnn_runtime.errors import InputError

BOX = [0, 0, 0, 90, 90, 90, 90, 90, 0, 0]
INPUT = torch.zeros(1, 1, 10, 10)
for row in (2, 3, 4, 6):
    INPUT[0, 0, row] = torch.tensor(BOX)
INPUT[0, 0, 5] = torch.tensor([0, 0, 0, 90, 0, 90, 90, 90, 0, 0])
INPUT[0, 0, 8, 2] = 90

FOUR = torch.tensor(
    [[12.0, 20, 30, 0], [8, 12, 2, 0], [34, 70, 37, 4], [112, 100, 25, 12]], dtype=torch.float64
)[None, None]


def test_overlapping_max_pooling_of_the_lecture() -> None:
    expected = torch.tensor([[0.0, 90, 90, 90]] * 3 + [[90, 90, 90, 90]])
    torch.testing.assert_close(LpPool2d(math.inf, kernel=3, stride=2)(INPUT)[0, 0], expected)
    torch.testing.assert_close(nn.MaxPool2d(3, 2)(INPUT)[0, 0], expected)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (math.inf, [[20, 30], [112, 37]]),
        (1, [[13, 8], [79, 19.5]]),
        (2, [[13.711, 15.033], [84.558, 23.206]]),
    ],
)
def test_the_2x2_pooling_tables_of_the_lecture(p: float, expected: list[list[float]]) -> None:
    out = LpPool2d(p, 2)(FOUR)[0, 0]  # z = s: the windows are a grid
    torch.testing.assert_close(out, torch.tensor(expected).double(), atol=5e-4, rtol=0)


def test_lp_pooling_is_a_mean_where_pytorch_sums() -> None:
    x = torch.tensor([[1.0, 2], [3, 4]])[None, None]
    assert LpPool2d(2, 2)(x).item() == pytest.approx(2.739, abs=5e-4)
    assert F.lp_pool2d(x, 2.0, 2).item() == pytest.approx(5.477, abs=5e-4)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1), (2, 3)])
def test_lp_pooling_of_a_photograph_is_the_holder_mean_of_each_window(
    p: float, kernel: int, stride: int, photograph: torch.Tensor
) -> None:
    windows = photograph.unfold(2, kernel, stride).unfold(3, kernel, stride)
    expected = windows.pow(p).mean((-2, -1)).pow(1 / p)
    torch.testing.assert_close(LpPool2d(p, kernel, stride)(photograph), expected)


def test_lp_pooling_rises_from_the_average_to_the_largest(photograph: torch.Tensor) -> None:
    x = 1000 * photograph  # whose powers overflow
    powers = [1, 1.5, 2, 4, 16, 128, 4096]
    rising = [LpPool2d(p, 3, 2)(x) for p in powers]
    torch.testing.assert_close(rising[0], F.avg_pool2d(x, 3, 2))
    for low, high in pairwise(rising):
        assert (low <= high * (1 + 1e-12)).all()
    torch.testing.assert_close(rising[-1], F.max_pool2d(x, 3, 2), rtol=1e-3, atol=0)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_lp_pooling_holds_at_both_ends_of_float32(scale: float) -> None:
    x = scale * torch.tensor([[1.0, 2], [3, 4]])[None, None]
    assert LpPool2d(3, 2)(x).item() == pytest.approx(scale * 25 ** (1 / 3), rel=1e-5)


def test_lp_pooling_in_half_precision_neither_overflows_nor_divides_by_zero() -> None:
    x = torch.tensor([[1.0, 2, 0, 0], [3, 4, 0, 0]])[None, None] * 1000
    out = LpPool2d(3, 2)(x.half()).flatten()
    assert out.tolist() == pytest.approx([1000 * 25 ** (1 / 3), 0], rel=2e-3)


@pytest.mark.parametrize("p", [1.5, 2, math.inf])
def test_lp_pooling_has_the_gradient_of_its_formula(p: float) -> None:
    x = torch.randn(1, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LpPool2d(p, 3, 2), (x,))


def test_an_all_zero_window_has_a_gradient_without_nan() -> None:
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    out = LpPool2d(2, 2)(x)
    out.sum().backward()
    assert out.abs().max() == 0
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_pooling_at_every_place_is_scipys_grey_dilation(
    kernel: int, photograph: torch.Tensor
) -> None:
    got = GreyDilation(kernel)(photograph)[0]
    for plane, channel in zip(got, photograph[0].numpy(), strict=True):
        expected = scipy.ndimage.grey_dilation(
            channel, size=(kernel, kernel), mode="constant", cval=-math.inf
        )
        assert torch.equal(plane, torch.from_numpy(expected))


def test_the_striding_of_the_lecture_and_its_backward() -> None:
    h = torch.tensor([3.0, 5, 6, 2, 2, 9, 4, 5])[None, None, None].requires_grad_()
    out = Striding(2)(h)
    assert out.flatten().tolist() == [3, 6, 2, 4]
    (grad,) = torch.autograd.grad(out, h, torch.arange(1.0, 5)[None, None, None])
    assert grad.flatten().tolist() == [1, 0, 2, 0, 3, 0, 4, 0]


def test_max_pooling_at_every_place_and_then_striding_is_overlapping_pooling(
    photograph: torch.Tensor,
) -> None:
    everywhere = GreyDilation(3)(photograph)[..., 1:-1, 1:-1]  # where the window lies inside
    assert torch.equal(Striding(2)(everywhere), F.max_pool2d(photograph, 3, 2))


def test_pooling_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        LpPool2d(0.5, 2)
    with pytest.raises(InputError, match="at least 1"):
        LpPool2d(math.nan, 2)
    with pytest.raises(InputError, match="odd number"):
        GreyDilation(2)


def test_subsampling_is_the_sum_of_four_times_a_weight_and_a_bias_for_each_map() -> None:
    layer = Subsampling(6)
    assert sum(p.numel() for p in layer.parameters()) == 12  # S2 of LeNet-5
    x = torch.randn(2, 6, 28, 28)
    torch.testing.assert_close(layer(x), F.avg_pool2d(x, 2))  # before training
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6.0))
        layer.bias.copy_(-torch.arange(6.0))
    total = x.unfold(2, 2, 2).unfold(3, 2, 2).sum((-2, -1))
    for i in range(6):
        torch.testing.assert_close(layer(x)[:, i], i * total[:, i] - i)


@pytest.mark.parametrize("side", [1, 2, 4, 5, 7, 9, 14, 15])
def test_adaptive_pooling_has_pytorchs_windows(side: int) -> None:
    x = torch.randn(2, 3, side, side + 3)
    assert torch.allclose(AdaptivePool(7)(x), nn.AdaptiveAvgPool2d(7)(x), atol=1e-6)
