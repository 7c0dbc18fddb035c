"""MobileNetV2 (Sandler et al., 2018), https://arxiv.org/abs/1801.04381."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from edgecnn.models.layers import ConvBN, ConvNet, Residual, he_init, round_channels


class Stage(NamedTuple):
    expansion: int
    channels: int  # at width 1.0
    repeats: int
    stride: int  # of the first repeat


# fmt: off
STAGES = (
    #     t    c  n  s
    Stage(1,  16, 1, 1),
    Stage(6,  24, 2, 2),
    Stage(6,  32, 3, 2),
    Stage(6,  64, 4, 2),
    Stage(6,  96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
# fmt: on
STEM, LAST = 32, 1280


class MobileNetV2(ConvNet):
    """Inverted residuals: wide inside, narrow and linear between.

    Args:
        width: channel multiplier; channels round to multiples of 8, the last layer never shrinks.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is the caller's, at least 32.
    """

    def __init__(self, width: float = 1.0, num_classes: int = 1000, in_channels: int = 3) -> None:
        channels = round_channels(STEM * width)
        layers: list[nn.Module] = [ConvBN(in_channels, channels, stride=2, activation=nn.ReLU6)]
        for stage in STAGES:
            outputs = round_channels(stage.channels * width)
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                layers.append(_inverted(channels, outputs, stage.expansion, stride))
                channels = outputs
        last = round_channels(LAST * max(1.0, width))
        layers.append(ConvBN(channels, last, 1, activation=nn.ReLU6))
        classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        super().__init__(nn.Sequential(*layers), classifier)
        he_init(self)


def _inverted(inputs: int, outputs: int, expansion: int, stride: int) -> nn.Module:
    inside = expansion * inputs
    layers = [
        ConvBN(inside, inside, 3, stride, groups=inside, activation=nn.ReLU6),
        ConvBN(inside, outputs, 1, activation=None),
    ]
    if expansion > 1:
        layers.insert(0, ConvBN(inputs, inside, 1, activation=nn.ReLU6))
    body = nn.Sequential(*layers)
    return Residual(body) if stride == 1 and inputs == outputs else body
