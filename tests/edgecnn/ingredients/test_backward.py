"""Both gradients of a convolution, against autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.filters import correlate
from edgecnn.ingredients.backward import input_gradient, weight_gradient

DOUBLE = torch.float64


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
