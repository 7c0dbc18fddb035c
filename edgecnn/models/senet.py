"""SE-ResNet and SENet-154 (Hu, Shen, Sun, 2018), https://arxiv.org/abs/1709.01507.

In the authors' form: the stride of an SE-ResNet's block is in its first 1x1, and the first pooling
rounds up.
"""

from __future__ import annotations

from torch import nn

from edgecnn.models.layers import ConvBN, ConvNet, Residual, SqueezeExcitation, he_init
from edgecnn.models.resnet import CHANNELS, VARIANTS, projection, residual_stages

REDUCTION = 16
GROUPS = 64  # of SENet-154's 3x3


def se_bottleneck(inputs: int, channels: int, stride: int) -> Residual:
    """ResNet's bottleneck with squeeze-and-excitation before the sum."""
    outputs = 4 * channels
    body = nn.Sequential(
        ConvBN(inputs, channels, 1, stride),
        ConvBN(channels, channels, 3),
        ConvBN(channels, outputs, 1, activation=None),
        SqueezeExcitation(outputs, outputs // REDUCTION),
    )
    return Residual(body, projection(inputs, outputs, stride), nn.ReLU(inplace=True))


def senet154_bottleneck(inputs: int, channels: int, stride: int) -> Residual:
    """Wider, with a 3x3 in groups of ResNeXt's kind, and a 3x3 shortcut where the size changes."""
    outputs = 4 * channels
    body = nn.Sequential(
        ConvBN(inputs, 2 * channels, 1),
        ConvBN(2 * channels, outputs, 3, stride, groups=GROUPS),
        ConvBN(outputs, outputs, 1, activation=None),
        SqueezeExcitation(outputs, outputs // REDUCTION),
    )
    kernel = 1 if stride == 1 else 3
    return Residual(body, projection(inputs, outputs, stride, kernel), nn.ReLU(inplace=True))


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class SEResNet(ConvNet):
    """ResNet with a gate for each map of each block.

    Args:
        depth: 50, 101 or 152.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 32.
    """

    def __init__(self, depth: int, num_classes: int = 1000, in_channels: int = 3) -> None:
        stem = (ConvBN(in_channels, 64, 7, 2), _pool())
        stages = residual_stages(se_bottleneck, 64, 4, VARIANTS[depth].repeats)
        super().__init__(nn.Sequential(*stem, *stages), nn.Linear(4 * CHANNELS[-1], num_classes))
        he_init(self)


class SENet154(ConvNet):
    """The network of the entry that won in 2017.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 32.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        stem = (ConvBN(in_channels, 64, 3, 2), ConvBN(64, 64), ConvBN(64, 128), _pool())
        stages = residual_stages(senet154_bottleneck, 128, 4, VARIANTS[152].repeats)
        classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(4 * CHANNELS[-1], num_classes))
        super().__init__(nn.Sequential(*stem, *stages), classifier)
        he_init(self)
