"""The volumes of a network are the maps that its paper draws."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgecnn.models import ZOO, build
from edgecnn.models.volumes import MOST, Volume, volumes

TRUTH: dict[str, Any] = json.loads((Path(__file__).parent / "ground_truth.json").read_text())


@cache
def volumes_of(
    name: str, resolution: int | None = None, width: float = 1.0, most: int = MOST
) -> tuple[Volume, ...]:
    row, side = ZOO[name], resolution or ZOO[name].resolution
    with torch.device("meta"):
        network = build(name, width=width)
    return volumes(network, (row.channels, side, side), most)


def test_lenet5_has_the_maps_of_its_paper() -> None:
    found = volumes_of("lenet5")
    shapes = [(1, 32, 32), (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]
    assert [v.shape for v in found] == shapes
    assert " ".join(v.kind for v in found) == "input conv pool conv pool conv linear linear"
    assert [v.what for v in found[2:5]] == ["subsampling", "sparse conv 5x5", "subsampling"]
    assert [v.parameters for v in found] == [0, 156, 12, 1516, 32, 48120, 10164, 0]


def test_alexnet_has_maps_of_55_27_13_and_6() -> None:
    for name in ("alexnet", "alexnet_two_tower"):
        maps = [v.shape[1] for v in volumes_of(name)[1:] if v.is_map]
        assert list(dict.fromkeys(maps)) == [55, 27, 13, 6]
    words = [v.what for v in volumes_of("alexnet_two_tower")]
    assert words[1:4] == ["conv 11x11/4", "max pool 3x3/2", "conv 5x5, 2 groups"]


def test_the_neocognitron_alternates_and_a_pooling_that_keeps_the_size_is_seen() -> None:
    found = volumes_of("neocognitron")
    assert [v.shape for v in found if v.kind == "pool"] == [
        (8, 11, 11),
        (22, 7, 7),
        (30, 7, 7),
        (10,),
    ]
    assert [v.shape[-1] for v in found[:-1]] == [19, 19, 19, 11, 11, 11, 7, 7, 7, 7, 3, 3]


@pytest.mark.parametrize("name", ZOO)
def test_every_network_fits_a_picture_and_nothing_of_it_is_lost(name: str) -> None:
    found, known = volumes_of(name), TRUTH["models"][name]
    assert 3 <= len(found) <= MOST
    assert found[0].shape == (ZOO[name].channels, *[ZOO[name].resolution] * 2)
    assert found[-1].shape == (ZOO[name].classes,)
    assert sum(v.parameters for v in found) == known["params"]
    assert sum(v.macs for v in found) / 1e6 == pytest.approx(known["macs_millions"], rel=0.005)


def test_blocks_of_one_shape_are_folded_where_there_are_too_many() -> None:
    stages = [v for v in volumes_of("resnet152") if v.kind == "block"]
    assert [v.repeats for v in stages] == [3, 8, 36, 3]
    assert [v.shape for v in stages] == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]
    assert {v.what for v in stages} == {"residual"}
    assert sum(v.layers for v in stages) == 150 + 4  # three a block, and four projections


def test_nothing_is_folded_where_there_is_room() -> None:
    assert len(volumes_of("resnet50")) == 9
    assert len(volumes_of("resnet50", most=21)) == 5 + 16


def test_layers_of_one_size_are_folded_where_that_is_not_enough() -> None:
    found = volumes_of("densenet201")
    dense = [v for v in found if v.what == "dense layer"]
    assert [v.repeats for v in dense] == [6, 12, 48, 32]
    assert dense[2].shape == (1792, 14, 14)
    assert [v.what for v in found].count("conv 1x1, avg pool 2x2/2") == 3


def test_maps_of_one_pixel_are_folded_too() -> None:
    found = volumes_of("densenet121", resolution=32)
    assert found[-2].shape == (1024,)
    assert found[-2].repeats == 16


def test_fully_connected_layers_are_never_folded() -> None:
    assert [v.shape for v in volumes_of("vgg16", most=1)[-3:]] == [(4096,), (4096,), (1000,)]


def test_width_and_resolution_scale_the_volumes() -> None:
    shapes = [v.shape for v in volumes_of("mobilenet_v1", resolution=160, width=0.5)]
    assert shapes[1] == (16, 80, 80)
    assert shapes[-3:] == [(512, 5, 5), (512,), (1000,)]


def test_folded_convolutions_are_named_by_what_they_share() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1)).to("meta")
    (_, both) = volumes(nn.Sequential(network), (3, 8, 8), most=2)
    assert (both.what, both.repeats, both.layers) == ("conv 3x3", 2, 2)
    network[1] = nn.Conv2d(8, 8, 1, device="meta")
    assert volumes(nn.Sequential(network), (3, 8, 8), most=2)[1].what == "conv"


def test_branches_of_one_convolution_are_a_block() -> None:
    assert [v.what for v in volumes_of("inception_v4")][4:6] == ["concat", "concat"]
    (depthwise,) = [v for v in volumes_of("xception") if "depthwise" in v.what]
    assert depthwise.what == "depthwise conv 3x3"
