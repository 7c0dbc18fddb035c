"""Neocognitron (Fukushima, 1980), Biological Cybernetics 36, 193-202, made differentiable.

Fukushima's learns without a teacher, by competition. This one keeps the alternation of simple
cells, which match features, and complex cells, which average over places, and is trained by
backpropagation.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from edgecnn.models.layers import lecun_init


class Stage(NamedTuple):
    simple: int  # maps of 3x3 feature detectors
    complex: int  # maps that average over them
    window: int
    stride: int
    padding: int


STAGES = (Stage(12, 8, 5, 2, 3), Stage(38, 22, 5, 2, 3), Stage(32, 30, 3, 1, 1))
LAST = 16  # maps of the last simple cells, 5x5


class Neocognitron(nn.Module):
    """Four stages of simple and complex cells; the last complex cells are the classes.

    Args:
        num_classes: length of the logits.
        in_channels: 1 for grey, 3 for colour.

    Shape: (N, in_channels, 19, 19) float32 -> (N, num_classes). Larger inputs are averaged over
    the last map; smaller ones are an error.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in STAGES:
            layers += [
                nn.Conv2d(channels, stage.simple, 3, padding=1),
                nn.Softsign(),
                nn.Conv2d(stage.simple, stage.complex, 1),
                nn.ZeroPad2d(stage.padding),
                nn.AvgPool2d(stage.window, stage.stride),
                nn.Softsign(),
            ]
            channels = stage.complex
        layers += [nn.Conv2d(channels, LAST, 5), nn.Softsign()]  # 3x3
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Conv2d(LAST, num_classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        lecun_init(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits
