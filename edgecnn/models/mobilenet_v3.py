"""MobileNetV3 (Howard et al., 2019), https://arxiv.org/abs/1905.02244."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from torch import nn

from edgecnn.models.layers import (
    ConvBN,
    ConvNet,
    Residual,
    SqueezeExcitation,
    he_init,
    round_channels,
)

RE, HS = nn.ReLU, nn.Hardswish


class Block(NamedTuple):
    kernel: int
    inside: int  # channels of the depthwise layer, at width 1.0
    channels: int  # that go out
    squeeze: bool  # squeeze-and-excitation
    activation: type[nn.Module]
    stride: int


class Variant(NamedTuple):
    blocks: tuple[Block, ...]
    hidden: int  # of the classifier


# fmt: off
LARGE = Variant((
    #     k  inside out  SE     act s
    Block(3,  16,  16, False, RE, 1),
    Block(3,  64,  24, False, RE, 2),
    Block(3,  72,  24, False, RE, 1),
    Block(5,  72,  40, True,  RE, 2),
    Block(5, 120,  40, True,  RE, 1),
    Block(5, 120,  40, True,  RE, 1),
    Block(3, 240,  80, False, HS, 2),
    Block(3, 200,  80, False, HS, 1),
    Block(3, 184,  80, False, HS, 1),
    Block(3, 184,  80, False, HS, 1),
    Block(3, 480, 112, True,  HS, 1),
    Block(3, 672, 112, True,  HS, 1),
    Block(5, 672, 160, True,  HS, 2),
    Block(5, 960, 160, True,  HS, 1),
    Block(5, 960, 160, True,  HS, 1),
), 1280)
SMALL = Variant((
    Block(3,  16,  16, True,  RE, 2),
    Block(3,  72,  24, False, RE, 2),
    Block(3,  88,  24, False, RE, 1),
    Block(5,  96,  40, True,  HS, 2),
    Block(5, 240,  40, True,  HS, 1),
    Block(5, 240,  40, True,  HS, 1),
    Block(5, 120,  48, True,  HS, 1),
    Block(5, 144,  48, True,  HS, 1),
    Block(5, 288,  96, True,  HS, 2),
    Block(5, 576,  96, True,  HS, 1),
    Block(5, 576,  96, True,  HS, 1),
), 1024)
# fmt: on
STEM = 16

Conv = partial(ConvBN, eps=1e-3, momentum=0.01)


class MobileNetV3(ConvNet):
    """Inverted residuals found by search, with squeeze-and-excitation and hard swish.

    Args:
        variant: LARGE or SMALL.
        width: channel multiplier; channels round to multiples of 8.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is the caller's, at least 32.
    """

    def __init__(
        self,
        variant: Variant = LARGE,
        width: float = 1.0,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        channels = round_channels(STEM * width)
        layers: list[nn.Module] = [Conv(in_channels, channels, 3, 2, activation=HS)]
        for block in variant.blocks:
            layers.append(_inverted(channels, block, width))
            channels = round_channels(block.channels * width)
        last = 6 * channels
        layers.append(Conv(channels, last, 1, activation=HS))
        hidden = round_channels(variant.hidden * width)
        classifier = nn.Sequential(
            nn.Linear(last, hidden), HS(), nn.Dropout(0.2), nn.Linear(hidden, num_classes)
        )
        super().__init__(nn.Sequential(*layers), classifier)
        he_init(self)


def _inverted(inputs: int, block: Block, width: float) -> nn.Module:
    inside = round_channels(block.inside * width)
    outputs = round_channels(block.channels * width)
    act = block.activation
    layers: list[nn.Module] = []
    if inside != inputs:
        layers.append(Conv(inputs, inside, 1, activation=act))
    layers.append(Conv(inside, inside, block.kernel, block.stride, groups=inside, activation=act))
    if block.squeeze:
        layers.append(SqueezeExcitation(inside, round_channels(inside // 4), nn.Hardsigmoid))
    layers.append(Conv(inside, outputs, 1, activation=None))
    body = nn.Sequential(*layers)
    return Residual(body) if block.stride == 1 and inputs == outputs else body
