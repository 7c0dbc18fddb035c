"""Inception v2, or BN-Inception (Ioffe, Szegedy, 2015), https://arxiv.org/abs/1502.03167."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import Concat, ConvBN, ConvNet, he_init


class Module(NamedTuple):
    """Channels of one module; a module of stride 2 has no `plain` and passes its pool through."""

    plain: int  # 1x1
    reduce: int  # 1x1 before one 3x3
    conv: int
    reduce_twice: int  # 1x1 before two 3x3
    conv_twice: int
    pool: str
    project: int  # 1x1 after the pooling


# fmt: off
MODULES = (
    #      1x1  3x3: in out  twice: in out pool  project
    Module( 64,  64,  64,  64,  96, "avg",  32),  # 3a
    Module( 64,  64,  96,  64,  96, "avg",  64),
    Module(  0, 128, 160,  64,  96, "max",   0),
    Module(224,  64,  96,  96, 128, "avg", 128),  # 4a
    Module(192,  96, 128,  96, 128, "avg", 128),
    Module(160, 128, 160, 128, 160, "avg", 128),
    Module( 96, 128, 192, 160, 192, "avg", 128),
    Module(  0, 128, 192, 192, 256, "max",   0),
    Module(352, 192, 320, 160, 224, "avg", 128),  # 5a
    Module(352, 192, 320, 192, 224, "max", 128),
)
# fmt: on

# The published weights have a bias in front of each batch norm.
Conv = partial(ConvBN, bias=True)


class InceptionV2(ConvNet):
    """GoogLeNet with batch norm and two 3x3 for each 5x5.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 32.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        layers: list[nn.Module] = [
            Conv(in_channels, 64, 7, 2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Conv(64, 64, 1),
            Conv(64, 192, 3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        ]
        channels = 192
        for m in MODULES:
            layers.append(_module(channels, m))
            channels = m.plain + m.conv + m.conv_twice + (m.project or channels)
        super().__init__(nn.Sequential(*layers), nn.Linear(channels, num_classes))
        he_init(self)


def _module(inputs: int, m: Module) -> Concat:
    stride = 1 if m.plain else 2
    once = nn.Sequential(Conv(inputs, m.reduce, 1), Conv(m.reduce, m.conv, 3, stride))
    twice = nn.Sequential(
        Conv(inputs, m.reduce_twice, 1),
        Conv(m.reduce_twice, m.conv_twice, 3),
        Conv(m.conv_twice, m.conv_twice, 3, stride),
    )
    if stride == 2:
        return Concat(once, twice, HalvingMaxPool(3, 2, ceil_mode=True))
    pool = nn.AvgPool2d(3, 1, 1) if m.pool == "avg" else nn.MaxPool2d(3, 1, 1)
    return Concat(
        Conv(inputs, m.plain, 1), once, twice, nn.Sequential(pool, Conv(inputs, m.project, 1))
    )


class HalvingMaxPool(nn.MaxPool2d):
    """Rounds half of an odd side up, as the convolutions beside it do; pooling rounds down."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # int(): under tracing a size is a tensor, and here it is a constant of the graph.
        down, right = int(x.shape[-2]) % 2, int(x.shape[-1]) % 2
        if down or right:
            x = F.pad(x, (0, right, 0, down))  # zeros are never the largest behind a ReLU
        out: torch.Tensor = super().forward(x)
        return out
