"""Layers with their own kernel at each place, or with fewer connections."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.cost import cost, parameters
from edgecnn.models.layers import LocallyConnected2d, SparseConv
from edgecnn_runtime.errors import InputError


def test_the_counts_of_dense_local_shared_and_bank_layers() -> None:
    pixels = 200 * 200
    dense = nn.Linear(pixels, pixels, bias=False, device="meta")
    local = LocallyConnected2d(1, 1, (200, 200), 10, bias=False, device="meta")
    shared = nn.Conv2d(1, 1, 10, bias=False)
    bank = nn.Conv2d(1, 10, 10, bias=False)
    bank_of_banks = nn.Conv2d(10, 10, 10, bias=False)
    counts = [parameters(m) for m in (dense, local, shared, bank, bank_of_banks)]
    assert counts == [1_600_000_000, 4_000_000, 100, 1_000, 10_000]


@pytest.mark.parametrize("kernel", [3, 4])
def test_a_locally_connected_layer_with_equal_kernels_is_a_convolution(kernel: int) -> None:
    conv = nn.Conv2d(2, 3, kernel, padding="same")
    local = LocallyConnected2d(2, 3, (6, 7), kernel)
    assert local.bias is not None
    assert conv.bias is not None
    with torch.no_grad():
        local.weight.copy_(conv.weight.flatten(1)[..., None].expand_as(local.weight))
        local.bias.copy_(conv.bias[:, None, None].expand_as(local.bias))
        x = torch.randn(4, 2, 6, 7)
        here = F.pad(x, (kernel // 2, (kernel - 1) // 2) * 2)
        expected = F.conv2d(here, conv.weight, conv.bias)
        torch.testing.assert_close(local(x), expected)
        local.weight[..., 0] *= 2  # the upper left place alone
        changed = (local(x) - expected).abs().amax((0, 1)) > 1e-6
    assert changed.nonzero().tolist() == [[0, 0]]


def test_a_locally_connected_layer_does_the_work_of_a_convolution_with_more_weights() -> None:
    local = LocallyConnected2d(2, 3, (6, 7), 3, bias=False)
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    assert cost(local, (2, 6, 7)).macs == cost(conv, (2, 6, 7)).macs
    assert parameters(local) == 6 * 7 * parameters(conv)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"an image of 5x7; .* 6x7"):
        LocallyConnected2d(2, 3, (6, 7), 3)(torch.zeros(1, 2, 5, 7))


def test_a_sparse_convolution_sees_only_the_maps_of_its_table() -> None:
    table = [(0, 1), (2,), (0, 1, 2)]
    layer = SparseConv(table, inputs=3, kernel=3)
    assert parameters(layer) == 6 * 9 + 3  # a kernel for each connection and a bias for each map
    x = torch.randn(2, 3, 8, 9)
    out = layer(x)
    assert out.shape == (2, 3, 6, 7)
    for plane in range(3):
        other = x.clone()
        other[:, plane] += 1
        changed = (layer(other) - out).abs().amax((0, 2, 3)) > 1e-6
        assert changed.tolist() == [plane in row for row in table]
    torch.testing.assert_close(out, F.conv2d(x, layer.dense_weight(), layer.bias))


def test_only_the_connections_of_a_sparse_convolution_have_a_gradient() -> None:
    layer = SparseConv([(0, 1), (2,), (0, 1, 2)], inputs=3, kernel=3)
    layer(torch.randn(2, 3, 8, 9)).square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.shape == (6, 3, 3)
    assert (layer.weight.grad.abs().amax((1, 2)) > 0).all()
    assert cost(layer, (3, 8, 9)).macs == 6 * 9 * 6 * 7
