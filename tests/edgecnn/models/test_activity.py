"""Sparsity and redundancy of the layers of any module."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.models import build
from edgecnn.models.activity import activity
from edgecnn_runtime.errors import InputError


def test_sparsity_is_the_share_of_zeros_and_redundancy_units_for_each_input() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2))
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].weight[:4, 0, 1, 1] = torch.tensor([1.0, -1, 1, 1])
    conv, relu, pool = activity(network, [torch.ones(3, 1, 4, 4)])
    assert (conv.kind, conv.units, conv.redundancy) == ("Conv2d", 128, 8.0)
    assert conv.sparsity == pytest.approx(4 / 8)
    assert relu.sparsity == pytest.approx(5 / 8)
    assert (pool.name, pool.units, pool.redundancy) == ("2", 32, 2.0)


def test_a_network_of_the_zoo_is_redundant_at_first_and_sparse_after_relu() -> None:
    torch.manual_seed(0)
    network = build("mobilenet_v1", width=0.25).train()
    layers = activity(network, [torch.randn(2, 3, 64, 64)])
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    assert max(layer.redundancy for layer in layers) > 1 > layers[-1].redundancy
    silent = [layer.sparsity for layer in layers if layer.kind == "ReLU6"]
    assert 0.2 < sum(silent) / len(silent) < 0.8
    assert next(layer.sparsity for layer in layers if layer.kind == "Conv2d") == 0


def test_hooks_are_taken_off_where_the_network_fails() -> None:
    network = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(RuntimeError):
        activity(network, [torch.zeros(1, 5)])
    assert not network[0]._forward_hooks


def test_several_batches_count_by_their_images() -> None:
    images = torch.randn(7, 4)
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
    whole = activity(network, [images])
    parts = activity(network, [images[:5], images[5:]])
    assert parts[1].sparsity == pytest.approx(whole[1].sparsity)
    assert parts[1].sparsity == pytest.approx((network(images) == 0).float().mean().item())
    assert [layer.units for layer in parts] == [layer.units for layer in whole] == [5, 5]


@pytest.mark.parametrize("batches", [[], [torch.zeros(0, 3)]])
def test_no_image_is_refused(batches: list[torch.Tensor]) -> None:
    with pytest.raises(InputError, match="at least one"):
        activity(nn.Linear(3, 4), batches)
