"""MobileNet (Howard et al., 2017), https://arxiv.org/abs/1704.04861."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from edgecnn.models.layers import ConvBN, ConvNet, SeparableConv, he_init, round_channels


class Stage(NamedTuple):
    channels: int  # at width 1.0
    repeats: int
    stride: int  # of the first repeat


STEM = 32
STAGES = (Stage(64, 1, 1), Stage(128, 2, 2), Stage(256, 2, 2), Stage(512, 6, 2), Stage(1024, 2, 2))


class MobileNetV1(ConvNet):
    """Depthwise separable classifier, 28 layers deep.

    Args:
        width: channel multiplier, the paper's alpha; channels round to multiples of 8.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes). R is the caller's choice, at least
    32: the stride of the last feature map.
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3) -> None:
        channels = round_channels(STEM * width)
        layers: list[nn.Module] = [ConvBN(in_channels, channels, stride=2, activation=nn.ReLU6)]
        for stage in STAGES:
            outputs = round_channels(stage.channels * width)
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                layers.append(SeparableConv(channels, outputs, stride))
                channels = outputs
        super().__init__(nn.Sequential(*layers), nn.Linear(channels, num_classes))
        he_init(self)
