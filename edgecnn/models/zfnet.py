"""ZFNet (Zeiler, Fergus, 2014), Visualizing and understanding convolutional networks.

https://arxiv.org/abs/1311.2901: AlexNet with smaller filters and strides, and without towers.
"""

from __future__ import annotations

from torch import nn

from edgecnn.models.layers import AdaptivePool, ConvNet, ConvReLU, LocalResponseNorm, he_init

PLAIN = (384, 384, 256)
WIDE = (512, 1024, 512)  # the sixth network of the entry that won in 2013


class ZFNet(ConvNet):
    """Five convolutions and three fully connected layers.

    Args:
        channels: of the third to fifth convolution, PLAIN or WIDE.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 53.
    """

    def __init__(
        self,
        channels: tuple[int, int, int] = PLAIN,
        num_classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        third, fourth, fifth = channels
        features = nn.Sequential(
            ConvReLU(in_channels, 96, 7, stride=2, padding=1),  # 110
            nn.MaxPool2d(3, 2, 1),  # 55
            LocalResponseNorm(),
            ConvReLU(96, 256, 5, stride=2, padding=0),  # 26
            nn.MaxPool2d(3, 2, 1),  # 13
            LocalResponseNorm(),
            ConvReLU(256, third),
            ConvReLU(third, fourth),
            ConvReLU(fourth, fifth),
            nn.MaxPool2d(3, 2),  # 6
        )
        classifier = nn.Sequential(
            nn.Linear(fifth * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
        )
        super().__init__(features, classifier, AdaptivePool(6))
        he_init(self)
