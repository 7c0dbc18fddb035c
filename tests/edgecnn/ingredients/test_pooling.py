"""Pooling between average and max, its tables and its way back."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.ingredients import GreyDilation, LpPool2d, Striding, SwitchPool2d, Unpool2d
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
    torch.testing.assert_close(LpPool2d(math.inf, size=3, stride=2)(INPUT)[0, 0], expected)
    torch.testing.assert_close(nn.MaxPool2d(3, 2)(INPUT)[0, 0], expected)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (math.inf, [[20, 30], [112, 37]]),
        (1, [[13, 8], [79, 19.5]]),
        (2, [[13.711, 15.033], [84.558, 23.206]]),
    ],
)
def test_the_pooling_tables_of_the_lecture(p: float, expected: list[list[float]]) -> None:
    out = LpPool2d(p, 2)(FOUR)[0, 0]
    torch.testing.assert_close(out, torch.tensor(expected).double(), atol=5e-4, rtol=0)


def test_lp_pooling_is_a_mean_where_pytorch_sums() -> None:
    x = torch.tensor([[1.0, 2], [3, 4]])[None, None]
    assert LpPool2d(2, 2)(x).item() == pytest.approx(2.739, abs=5e-4)
    assert F.lp_pool2d(x, 2.0, 2).item() == pytest.approx(5.477, abs=5e-4)


def test_lp_pooling_rises_from_the_average_to_the_largest() -> None:
    x = torch.rand(2, 3, 9, 9, dtype=torch.float64) * 1000
    powers = [1, 1.5, 2, 4, 16, 128, 4096]
    rising = [LpPool2d(p, 3, 2)(x) for p in powers]
    torch.testing.assert_close(rising[0], F.avg_pool2d(x, 3, 2))
    for low, high in pairwise(rising):
        assert (low <= high).all()
    torch.testing.assert_close(rising[-1], F.max_pool2d(x, 3, 2), rtol=1e-3, atol=0)


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


@pytest.mark.parametrize("size", [1, 3, 5])
def test_pooling_at_every_place_is_scipys_grey_dilation(size: int) -> None:
    x = np.random.default_rng(0).normal(size=(11, 13))
    got = GreyDilation(size)(torch.from_numpy(x)[None, None])[0, 0]
    expected = scipy.ndimage.grey_dilation(x, size=(size, size), mode="constant", cval=-np.inf)
    np.testing.assert_array_equal(got, expected)


H = torch.tensor([3.0, 5, 6, 2, 2, 9, 4])


def test_the_1d_max_pool_of_the_lecture_and_its_backward() -> None:
    h = H.clone()[None, None].requires_grad_()
    out = F.max_pool1d(h, 3, stride=1, padding=1)
    assert out[0, 0].tolist() == [5, 6, 6, 6, 9, 9, 9]
    (grad,) = torch.autograd.grad(out, h, torch.arange(1.0, 8)[None, None])
    assert grad[0, 0].tolist() == [0, 1, 9, 0, 0, 18, 0]


def test_the_same_by_switches_and_unpooling() -> None:
    h = H.expand(1, 1, 3, 7).clone()
    h[:, :, (0, 2)] = -1
    pooled, switches = SwitchPool2d(3, stride=1, padding=1)(h)
    assert pooled[0, 0, 1].tolist() == [5, 6, 6, 6, 9, 9, 9]
    delta = torch.zeros_like(pooled)
    delta[0, 0, 1] = torch.arange(1.0, 8)
    assert Unpool2d()(delta, switches, h.shape)[0, 0, 1].tolist() == [0, 1, 9, 0, 0, 18, 0]


def test_ties_send_the_gradient_to_the_first_maximum() -> None:
    h = torch.tensor([[[[7.0, 7], [7, 7]]]], requires_grad=True)
    (grad,) = torch.autograd.grad(F.max_pool2d(h, 2).sum(), h)
    assert grad[0, 0].tolist() == [[1, 0], [0, 0]]
    pooled, switches = SwitchPool2d(2)(h)
    assert Unpool2d()(torch.ones_like(pooled), switches, h.shape)[0, 0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1)]
)
def test_unpooling_is_the_backward_pass_of_pooling(size: int, stride: int, padding: int) -> None:
    h = torch.randn(2, 3, 9, 11, dtype=torch.float64, requires_grad=True)
    pool = SwitchPool2d(size, stride, padding)
    pooled, switches = pool(h)
    delta = torch.randn_like(pooled)
    (expected,) = torch.autograd.grad(pooled, h, delta)
    torch.testing.assert_close(Unpool2d()(delta, switches, h.shape), expected)


def test_the_striding_of_the_lecture_and_its_backward() -> None:
    h = torch.tensor([3.0, 5, 6, 2, 2, 9, 4, 5])[None, None, None].requires_grad_()
    out = Striding(2)(h)
    assert out.flatten().tolist() == [3, 6, 2, 4]
    (grad,) = torch.autograd.grad(out, h, torch.arange(1.0, 5)[None, None, None])
    assert grad.flatten().tolist() == [1, 0, 2, 0, 3, 0, 4, 0]


def test_a_strided_convolution_is_a_convolution_and_then_striding() -> None:
    x, layer = torch.randn(1, 3, 11, 14), nn.Conv2d(3, 4, 3, stride=2, padding=1)
    dense = F.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), Striding(2)(dense))


def test_pooling_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        LpPool2d(0.5, 2)
    with pytest.raises(InputError, match="odd number"):
        GreyDilation(2)
