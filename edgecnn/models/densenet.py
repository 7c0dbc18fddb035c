"""DenseNet (Huang et al., 2017), https://arxiv.org/abs/1608.06993: DenseNet-BC for ImageNet."""

from __future__ import annotations

from torch import nn

from edgecnn.models.layers import ConvBN, ConvNet, DenseLayer, he_init

GROWTH = 32
REPEATS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


class DenseNet(ConvNet):
    """Each layer reads the maps of all layers before it; a transition halves them in number.

    Args:
        depth: 121, 169 or 201.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 32.
    """

    def __init__(self, depth: int, num_classes: int = 1000, in_channels: int = 3) -> None:
        channels = 2 * GROWTH
        layers: list[nn.Module] = [ConvBN(in_channels, channels, 7, 2), nn.MaxPool2d(3, 2, 1)]
        for block, repeats in enumerate(REPEATS[depth]):
            if block > 0:
                layers.append(_transition(channels))
                channels //= 2
            for _ in range(repeats):
                layers.append(DenseLayer(channels, GROWTH))
                channels += GROWTH
        layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        super().__init__(nn.Sequential(*layers), nn.Linear(channels, num_classes))
        he_init(self)


def _transition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels // 2, 1, bias=False),
        nn.AvgPool2d(2),
    )
