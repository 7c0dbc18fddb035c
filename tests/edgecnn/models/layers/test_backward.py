"""Both gradients of a convolution, against autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.filters import correlate
from edgecnn.models.layers import (
    SumOfSquares,
    SwitchPool2d,
    Unpool2d,
    input_gradient,
    weight_gradient,
)

DOUBLE = torch.float64
SHAPES = ((5, 3, 3, 3), (6, 5, 3, 3), (4, 6 * 3 * 3))  # two convolutions, a dense layer


@pytest.mark.parametrize("size", [(9, 12), (8, 10)])
@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_the_gradients_of_a_convolution(
    size: tuple[int, int], kernel: int, stride: int, padding: int
) -> None:
    h = torch.randn(2, 3, *size, dtype=DOUBLE, requires_grad=True)
    weight = torch.randn(5, 3, kernel, kernel, dtype=DOUBLE, requires_grad=True)
    out = F.conv2d(h, weight, stride=stride, padding=padding)
    delta = torch.randn_like(out)
    by_h, by_weight = torch.autograd.grad(out, (h, weight), delta)
    with torch.no_grad():
        got = weight_gradient(h, delta, kernel, stride=stride, padding=padding)
        torch.testing.assert_close(got, by_weight)
        got = input_gradient(weight, delta, size, stride=stride, padding=padding)
        torch.testing.assert_close(got, by_h)


def test_in_one_channel_they_are_the_correlations_of_the_lecture() -> None:
    h, kernel = torch.randn(1, 1, 9, 9, dtype=DOUBLE), torch.randn(3, 3, dtype=DOUBLE)
    delta = torch.randn(1, 1, 7, 7, dtype=DOUBLE)
    delta_on_h = correlate(h, delta[0, 0], extent="valid")
    torch.testing.assert_close(weight_gradient(h, delta, 3), delta_on_h)
    flipped_on_delta = correlate(delta, kernel.flip(0, 1), extent="full")
    torch.testing.assert_close(input_gradient(kernel[None, None], delta, (9, 9)), flipped_on_delta)


def test_a_transposed_convolution_is_the_input_gradient() -> None:
    layer = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1, bias=False)
    x = torch.randn(2, 4, 5, 6)
    got = input_gradient(layer.weight.detach(), x, (10, 12), stride=2, padding=1)
    torch.testing.assert_close(got, layer(x).detach())


def test_a_whole_backward_pass_by_the_formulas_of_the_lecture() -> None:
    """Two convolutions, a max pooling, a dense layer and SSE: each delta from the one above it."""
    h0, d = torch.randn(2, 3, 12, 12, dtype=DOUBLE), torch.eye(4, dtype=DOUBLE)[[1, 3]]
    k1, k2, w = (torch.randn(*s, dtype=DOUBLE, requires_grad=True) for s in SHAPES)
    a1 = F.conv2d(h0, k1, padding=1)
    h1 = a1.relu()
    a2 = F.conv2d(h1, k2, stride=2, padding=1)
    h2 = a2.tanh()
    pooled, switches = SwitchPool2d(2)(h2)
    y = pooled.flatten(1) @ w.T
    expected = torch.autograd.grad(SumOfSquares()(y, d), (k1, k2, w))
    with torch.no_grad():
        delta = (y - d) / 2  # a batch of two
        by_w = delta.T @ pooled.flatten(1)
        delta2 = Unpool2d()((delta @ w).reshape(pooled.shape), switches, h2.shape)
        delta2 = delta2 * (1 - h2.square())  # g'(a) of tanh
        by_k2 = weight_gradient(h1, delta2, 3, stride=2, padding=1)
        delta1 = input_gradient(k2, delta2, (12, 12), stride=2, padding=1) * (a1 > 0)
        by_k1 = weight_gradient(h0, delta1, 3, padding=1)
    for got, wanted in zip((by_k1, by_k2, by_w), expected, strict=True):
        torch.testing.assert_close(got, wanted)
