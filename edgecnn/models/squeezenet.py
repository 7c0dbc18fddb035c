"""SqueezeNet (Iandola et al., 2016), https://arxiv.org/abs/1602.07360.

1.0 is the paper's; 1.1, by the authors, needs less than half of its arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from edgecnn.models.layers import ConvReLU, Fire, he_init


class Variant(NamedTuple):
    kernel: int  # of the first convolution, stride 2
    channels: int  # that it gives
    pools: tuple[int, ...]  # before which Fire modules the map is halved


SQUEEZES = (16, 16, 32, 32, 48, 48, 64, 64)  # each expands to four times as many, by both kernels
V1_0 = Variant(7, 96, (0, 3, 7))
V1_1 = Variant(3, 64, (0, 2, 4))


class SqueezeNet(nn.Module):
    """AlexNet's accuracy with 50 times fewer parameters.

    Args:
        variant: V1_0 or V1_1.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 21
    for 1.0 and 17 for 1.1.
    """

    def __init__(
        self, variant: Variant = V1_0, num_classes: int = 1000, in_channels: int = 3
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            ConvReLU(in_channels, variant.channels, variant.kernel, stride=2, padding=0)
        ]
        channels = variant.channels
        for index, squeeze in enumerate(SQUEEZES):
            if index in variant.pools:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            layers.append(Fire(channels, squeeze, 4 * squeeze))
            channels = 8 * squeeze
        self.features = nn.Sequential(*layers)
        # A map for each class, averaged: no layer is fully connected.
        last = nn.Conv2d(channels, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            last,
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        he_init(self)
        # The paper's code: with He's variance the ReLU after it cuts half of the classes off.
        nn.init.normal_(last.weight, 0, 0.01)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits
