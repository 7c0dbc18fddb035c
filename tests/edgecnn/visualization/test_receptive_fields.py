"""Receptive fields by noise and by gradients, against known kernels and the calculated sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgecnn.data import load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import prepared
from edgecnn.models.receptive_field import receptive_field
from edgecnn.training.run import load_network, read_run
from edgecnn.visualization.boxes import Fields
from edgecnn.visualization.reverse_correlation import (
    Unit,
    box_of,
    effective_size,
    mean_gradients,
    noise,
    reverse_correlation,
)


def _kernel() -> torch.Tensor:
    """(2, 3, 5, 5): no weight near 0, so that its edges can be found."""
    generator = torch.Generator().manual_seed(3)
    size = 0.5 + torch.rand(2, 3, 5, 5, generator=generator)
    return size * torch.sign(torch.randn(2, 3, 5, 5, generator=generator))


def test_noise_recovers_the_kernel_of_a_linear_layer_and_its_size() -> None:
    conv = nn.Conv2d(3, 2, 5)
    conv.weight.data = _kernel()
    network = nn.Sequential(conv)
    units = [Unit("0", 0, 4, 5), Unit("0", 1, 4, 5)]
    fields = Fields.of(network, 14, 16)
    box = fields.box("0", 4, 5)
    assert box == (4, 5, 9, 10)
    for unit, found in zip(
        units, reverse_correlation(network, (3, 14, 16), units, stimuli=8192), strict=True
    ):
        kernel = conv.weight[unit.channel].detach()
        patch = found.field[:, 4:9, 5:10]
        assert torch.allclose(patch, kernel, atol=0.6)  # the error of a weight is |kernel| / 90
        cosine = torch.cosine_similarity(patch.flatten(), kernel.flatten(), 0)
        assert float(cosine) > 0.99
        assert found.box == box


def test_noise_has_the_calculated_field_of_layers_in_a_row() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.AvgPool2d(2), nn.Conv2d(1, 1, 2))
    for parameter in (network[0].weight, network[2].weight):
        parameter.data = 0.5 + torch.rand_like(parameter)
    (found,) = reverse_correlation(network, (1, 21, 21), [Unit("2", 0, 1, 1)], stimuli=8192)
    assert found.box == Fields.of(network, 21, 21).box("2", 1, 1) == (4, 4, 13, 13)


def test_the_noise_is_the_same_for_the_same_seed_and_no_other() -> None:
    first, same, other = (torch.cat(list(noise((1, 4, 4), 70, seed))) for seed in (1, 1, 2))
    assert first.shape == (70, 1, 4, 4)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_mean_gradient_of_a_linear_unit_is_its_kernel() -> None:
    conv = nn.Conv2d(3, 2, 5)
    conv.weight.data = _kernel()
    unit = Unit("0", 1, 4, 5)
    gradient, reach = mean_gradients(nn.Sequential(conv), noise((3, 14, 16), 8, 0), unit)
    assert torch.allclose(gradient[:, 4:9, 5:10], conv.weight[1], atol=1e-6)
    assert box_of(reach > 0) == (4, 5, 9, 10)
    assert effective_size(reach) == 5


def test_what_reaches_a_unit_of_a_trained_network_is_the_calculated_field(
    trained_run: Path,
) -> None:
    run = read_run(trained_run)
    network = load_network(trained_run, run)
    photographs = prepared(list(some_frames(load_data("terrain").val, 32)), run.input)
    fields = Fields.of(network, 48, 48)
    for layer, size in (("features.0", 3), ("features.2", 11), ("features.3", 19)):
        middle = fields.columns[layer].first.shape[-1] // 2
        _, reach = mean_gradients(network, [photographs], Unit(layer, 3, middle, middle))
        box = box_of(reach > 0)
        assert box == fields.box(layer, middle, middle)
        assert box is not None
        assert (box[2] - box[0], box[3] - box[1]) == (size, size)
        assert 1 <= effective_size(reach) <= size


def test_fields_are_those_of_the_zoo_and_are_cut_at_the_edges(trained_run: Path) -> None:
    network = load_network(trained_run, read_run(trained_run))
    wide = Fields.of(network, 480, 480).box("features", 7, 7)
    assert wide[2] - wide[0] == receptive_field(network) == 315
    assert Fields.of(network, 48, 48).box("features.0", 0, 0) == (0, 0, 2, 2)
    assert Fields.of(network, 48, 48).seen("features.13") == "the whole image"


def test_a_place_that_cannot_be_followed_sees_the_whole_image() -> None:
    fields = Fields.of(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Softplus(), nn.Conv2d(1, 1, 3)), 9, 9)
    assert fields.seen("0") == "3x3 pixels"
    assert fields.seen("2") == "the whole image"
    assert fields.box("2", 1, 1) == (0, 0, 9, 9)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "squeezenet1_1"])
def test_a_network_of_torchvision_is_followed_as_ours(name: str) -> None:
    from torchvision import models

    from edgecnn.models import build

    with torch.device("meta"):
        theirs, ours = models.get_model(name, weights=None), build(name)
    last = {"resnet18": "layer4"}.get(name, "features")
    sizes = []
    for network, layer in ((theirs, last), (ours, "features")):
        fields = Fields.of(network, 1600, 1600)
        middle = fields.columns[layer].first.shape[-1] // 2
        box = fields.box(layer, middle, middle)
        sizes.append(box[3] - box[1])
    assert sizes[0] == sizes[1] == receptive_field(ours)
