"""Xception (Chollet, 2017), https://arxiv.org/abs/1610.02357."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from edgecnn.models.layers import ConvBN, ConvNet, Residual, he_init


class Block(NamedTuple):
    channels: tuple[int, ...]  # that each separable convolution gives
    stride: int


# fmt: off
BLOCKS = (
    Block((128, 128), 2),                  # entry flow
    Block((256, 256), 2),
    Block((728, 728), 2),
    *(Block((728, 728, 728), 1),) * 8,     # middle flow
    Block((728, 1024), 2),                 # exit flow
)
# fmt: on
EXIT = (1536, 2048)


class Xception(ConvNet):
    """Inception taken to its limit: a convolution for each map, then one across maps.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 299 in the paper, at least 32.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        layers: list[nn.Module] = [
            ConvBN(in_channels, 32, 3, 2, padding=0),
            ConvBN(32, 64, 3, padding=0),
        ]
        inputs = 64
        for index, block in enumerate(BLOCKS):
            layers.append(_block(inputs, block, after_relu=index == 0))
            inputs = block.channels[-1]
        for outputs in EXIT:
            layers += [*_separable(inputs, outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        super().__init__(nn.Sequential(*layers), nn.Linear(inputs, num_classes))
        he_init(self)


def _separable(inputs: int, outputs: int) -> list[nn.Module]:
    """Nothing between depthwise and pointwise: the paper found it best."""
    return [
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def _block(inputs: int, block: Block, after_relu: bool) -> Residual:
    layers: list[nn.Module] = []
    channels = inputs
    for outputs in block.channels:
        if layers or not after_relu:
            # The first ReLU must leave the block's input to the shortcut.
            layers.append(nn.ReLU(inplace=bool(layers)))
        layers += _separable(channels, outputs)
        channels = outputs
    if block.stride == 1:
        return Residual(nn.Sequential(*layers))
    layers.append(nn.MaxPool2d(3, block.stride, 1))
    shortcut = ConvBN(inputs, channels, 1, block.stride, activation=None)
    return Residual(nn.Sequential(*layers), shortcut)
