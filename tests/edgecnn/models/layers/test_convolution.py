"""Convolutions: what they cost, what they equal."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.cost import cost
from edgecnn.models.layers import ConvBN, ConvReLU, SeparableConv, Striding, round_channels


def weights(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(("channels", "rounded"), [(8, 8), (24.0, 24), (9.6, 16), (3, 8), (20, 24)])
def test_scaled_channels_round_to_eights(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_keeps_the_size_unless_it_strides(kernel: int, stride: int) -> None:
    x = torch.randn(2, 3, 12, 15)
    expected = (2, 8, -(-12 // stride), -(-15 // stride))
    assert ConvReLU(3, 8, kernel, stride)(x).shape == expected
    assert ConvBN(3, 8, kernel, stride)(x).shape == expected


@pytest.mark.parametrize("size", [7, 10, 32])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_without_padding_a_side_of_w_becomes_w_minus_n_plus_1_over_s_rounded_up(
    size: int, n: int, stride: int
) -> None:
    out = nn.Conv2d(1, 1, n, stride)(torch.zeros(1, 1, size, size))
    assert out.shape[-1] == math.ceil((size - n + 1) / stride)


def test_a_strided_convolution_is_a_convolution_and_then_striding() -> None:
    x, layer = torch.randn(1, 3, 11, 14), nn.Conv2d(3, 4, 3, stride=2, padding=1)
    dense = F.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), Striding(2)(dense))


def test_a_1x1_convolution_is_a_weighted_sum_of_the_maps_at_each_place(
    photograph: torch.Tensor,
) -> None:
    layer = nn.Conv2d(3, 2, 1, bias=False).double()
    for k in range(2):
        expected = sum(layer.weight[k, i] * photograph[:, i] for i in range(3))
        torch.testing.assert_close(layer(photograph)[:, k], expected)


def test_a_1x1_convolution_in_between_saves_nine_tenths_of_weights_and_work() -> None:
    whole = nn.Conv2d(192, 128, 3, padding=1, bias=False)
    first = nn.Conv2d(192, 16, 1, bias=False)
    second = nn.Conv2d(16, 128, 3, padding=1, bias=False)
    assert (weights(whole), weights(first, second)) == (221_184, 21_504)
    work = [cost(nn.Sequential(*m), (192, 28, 28)).macs for m in ([whole], [first, second])]
    assert work == [221_184 * 28**2, 21_504 * 28**2]


def test_three_3x3_have_27_weights_for_49_of_one_7x7_and_see_as_much() -> None:
    three = [nn.Conv2d(1, 1, 3, bias=False) for _ in range(3)]
    one = nn.Conv2d(1, 1, 7, bias=False)
    assert (weights(*three), weights(one)) == (27, 49)
    x = torch.zeros(1, 1, 20, 20)
    assert nn.Sequential(*three)(x).shape == one(x).shape


def test_a_separable_convolution_is_a_filter_for_each_map_and_then_a_mixture() -> None:
    layer, x = SeparableConv(4, 6).double().eval(), torch.randn(2, 4, 9, 9, dtype=torch.float64)
    depthwise, pointwise = (m for m in layer.modules() if isinstance(m, nn.Conv2d))
    assert weights(depthwise, pointwise) == 4 * 3 * 3 + 4 * 6  # in place of 4 · 6 · 3 · 3
    # Fresh batch norm scales by 1 / sqrt(1 + eps) alone.
    norm = (1 + 1e-5) ** -0.5
    planes = [F.conv2d(x[:, i : i + 1], depthwise.weight[i : i + 1], padding=1) for i in range(4)]
    alone = F.relu6(norm * torch.cat(planes, 1))
    mixed = torch.einsum("nihw,oi->nohw", alone, pointwise.weight[:, :, 0, 0])
    torch.testing.assert_close(layer(x), F.relu6(norm * mixed))


def test_depthwise_and_pointwise_alone_are_one_convolution_with_factored_kernels() -> None:
    x = torch.randn(2, 4, 9, 9, dtype=torch.float64)
    depthwise = torch.randn(4, 1, 3, 3, dtype=torch.float64)
    pointwise = torch.randn(6, 4, 1, 1, dtype=torch.float64)
    in_two = F.conv2d(F.conv2d(x, depthwise, groups=4), pointwise)
    torch.testing.assert_close(in_two, F.conv2d(x, pointwise * depthwise[:, 0]))


def test_a_separable_convolution_costs_1_over_outputs_and_1_over_9_of_a_whole_one() -> None:
    separable = cost(SeparableConv(128, 256), (128, 14, 14))
    whole = cost(ConvBN(128, 256), (128, 14, 14))
    assert separable.macs / whole.macs == pytest.approx(1 / 256 + 1 / 9)


def test_a_transposed_convolution_goes_back_through_a_convolution() -> None:
    conv = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False).double()
    back = nn.ConvTranspose2d(5, 3, 3, stride=2, padding=1, output_padding=1, bias=False).double()
    back.weight = conv.weight
    x = torch.randn(1, 3, 10, 12, dtype=torch.float64)
    y = torch.randn(1, 5, 5, 6, dtype=torch.float64)
    assert back(y).shape == x.shape
    # <conv x, y> = <x, back y>: the transpose of the same matrix.
    torch.testing.assert_close((conv(x) * y).sum(), (x * back(y)).sum())
