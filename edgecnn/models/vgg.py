"""VGG (Simonyan, Zisserman, 2015), https://arxiv.org/abs/1409.1556."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from edgecnn.models.layers import AdaptivePool, ConvBN, ConvNet, ConvReLU, he_init


class Stage(NamedTuple):
    channels: int
    repeats: int  # 3x3 convolutions before the 2x2 pooling


VGG16 = (Stage(64, 2), Stage(128, 2), Stage(256, 3), Stage(512, 3), Stage(512, 3))
VGG19 = (Stage(64, 2), Stage(128, 2), Stage(256, 4), Stage(512, 4), Stage(512, 4))


class VGG(ConvNet):
    """3x3 convolutions, five 2x2 poolings, three fully connected layers.

    Args:
        stages: VGG16, the paper's configuration D, or VGG19, its E.
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.
        batch_norm: after each convolution; not in the paper, and usual since.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 32.
    """

    def __init__(
        self,
        stages: tuple[Stage, ...] = VGG16,
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        batch_norm: bool = False,
    ) -> None:
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in stages:
            for _ in range(stage.repeats):
                if batch_norm:
                    layers.append(ConvBN(channels, stage.channels, bias=True))
                else:
                    layers.append(ConvReLU(channels, stage.channels))
                channels = stage.channels
            layers.append(nn.MaxPool2d(2))
        classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
        )
        super().__init__(nn.Sequential(*layers), classifier, AdaptivePool(7))
        he_init(self)
