"""Activations and memory, counted by hand."""

from __future__ import annotations

from torch import nn

from edgecnn.models.cost import cost
from edgecnn.models.layers import ConvNet, LocallyConnected2d, Residual

IMAGE = 4 * 3 * 8 * 8  # bytes of the input


def _chain(*layers: nn.Module) -> ConvNet:
    return ConvNet(nn.Sequential(*layers), nn.Linear(4, 2)).to("meta")


def test_activations_are_what_convolutions_and_linear_layers_give() -> None:
    network = _chain(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1))
    size = cost(network, (3, 8, 8))
    assert size.activations == 4 * 64 + 4 * 16 + 2
    assert [layer.activations for layer in size.layers][:3] == [256, 256, 64]
    assert [layer.receptive_field for layer in size.layers][:3] == [3, 3, 5]
    assert [layer.stride for layer in size.layers][:3] == [1, 1, 2]
    assert size.layers[-1].receptive_field is None


def test_a_layer_needs_its_input_and_its_output() -> None:
    network = _chain(nn.Conv2d(3, 4, 3, padding=1))
    assert cost(network, (3, 8, 8)).peak_activation_bytes == IMAGE + 4 * 4 * 64


def test_what_goes_value_by_value_needs_no_memory_of_its_own() -> None:
    network = _chain(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    assert cost(network, (3, 8, 8)).peak_activation_bytes == IMAGE + 4 * 4 * 64


def test_a_shortcut_holds_its_map_until_the_sum() -> None:
    convs = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(2)]
    network = _chain(nn.Conv2d(3, 4, 3, padding=1), Residual(nn.Sequential(*convs)))
    assert cost(network, (3, 8, 8)).peak_activation_bytes == 3 * 4 * 4 * 64


def test_a_chain_of_any_length_needs_two_maps() -> None:
    convs = [nn.Conv2d(4, 4, 3, padding=1) for _ in range(5)]
    network = _chain(nn.Conv2d(3, 4, 3, padding=1), *convs)
    assert cost(network, (3, 8, 8)).peak_activation_bytes == 2 * 4 * 4 * 64


def test_a_network_with_a_layer_that_places_cannot_be_followed_through_is_counted() -> None:
    network = _chain(nn.Conv2d(3, 4, 3, padding=1), LocallyConnected2d(4, 4, (8, 8), 3))
    size = cost(network, (3, 8, 8))
    assert size.macs == 9 * 3 * 4 * 64 + 9 * 4 * 4 * 64 + 4 * 2
    assert size.receptive_field is None
