"""ResNet (He et al., 2016), https://arxiv.org/abs/1512.03385."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from edgecnn.models.layers import ConvBN, ConvNet, Residual, he_init

CHANNELS = (64, 128, 256, 512)  # of the four stages, before expansion


def basic_block(inputs: int, channels: int, stride: int) -> Residual:
    """Two 3x3."""
    body = nn.Sequential(
        ConvBN(inputs, channels, 3, stride),
        ConvBN(channels, channels, 3, activation=None),
    )
    return Residual(body, projection(inputs, channels, stride), nn.ReLU(inplace=True))


def bottleneck(inputs: int, channels: int, stride: int) -> Residual:
    """1x1, 3x3, 1x1 to four times the channels.

    The stride is the 3x3's, as in all published weights; the paper has it in the first 1x1, which
    drops three quarters of its input.
    """
    outputs = 4 * channels
    body = nn.Sequential(
        ConvBN(inputs, channels, 1),
        ConvBN(channels, channels, 3, stride),
        ConvBN(channels, outputs, 1, activation=None),
    )
    return Residual(body, projection(inputs, outputs, stride), nn.ReLU(inplace=True))


def projection(inputs: int, outputs: int, stride: int, kernel: int = 1) -> nn.Module | None:
    """The shortcut where the shape changes; None where it is the identity."""
    if stride == 1 and inputs == outputs:
        return None
    return ConvBN(inputs, outputs, kernel, stride, activation=None)


class Variant(NamedTuple):
    block: Callable[[int, int, int], nn.Module]
    expansion: int
    repeats: tuple[int, int, int, int]


VARIANTS = {
    18: Variant(basic_block, 1, (2, 2, 2, 2)),
    34: Variant(basic_block, 1, (3, 4, 6, 3)),
    50: Variant(bottleneck, 4, (3, 4, 6, 3)),
    101: Variant(bottleneck, 4, (3, 4, 23, 3)),
    152: Variant(bottleneck, 4, (3, 8, 36, 3)),
}


class ResNet(ConvNet):
    """Shortcut connections around every two or three convolutions.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 32.
    """

    def __init__(self, depth: int, num_classes: int = 1000, in_channels: int = 3) -> None:
        variant = VARIANTS[depth]
        stem = (ConvBN(in_channels, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        stages = residual_stages(variant.block, 64, variant.expansion, variant.repeats)
        outputs = CHANNELS[-1] * variant.expansion
        super().__init__(nn.Sequential(*stem, *stages), nn.Linear(outputs, num_classes))
        he_init(self)


def residual_stages(
    block: Callable[[int, int, int], nn.Module],
    inputs: int,
    expansion: int,
    repeats: tuple[int, int, int, int],
) -> list[nn.Module]:
    """The four stages; each but the first begins with stride 2."""
    layers = []
    for stage, (channels, count) in enumerate(zip(CHANNELS, repeats, strict=True)):
        for repeat in range(count):
            stride = 2 if stage > 0 and repeat == 0 else 1
            layers.append(block(inputs, channels, stride))
            inputs = channels * expansion
    return layers
