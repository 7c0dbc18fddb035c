"""FractalNet (Larsson, Maire, Shakhnarovich, 2017), https://arxiv.org/abs/1605.07648."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from edgecnn.models.layers import AuxiliaryLogits, ConvNet, Fractal, he_init


class Stage(NamedTuple):
    channels: int
    dropout: float


STAGES = (Stage(64, 0.0), Stage(128, 0.1), Stage(256, 0.2), Stage(512, 0.3), Stage(512, 0.4))
COLUMNS = 3
DROP_PATH = 0.15
MOMENTUM = 0.2  # of batch norm's running averages, which move at half of the steps
GLOBAL = 0.5  # share of the steps that train a single column of the whole network


class FractalNet20(ConvNet):
    """Five fractal blocks for CIFAR: deep without shortcuts, each column a network of its own.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 32 in the paper, and at least.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        layers: list[nn.Module] = []
        inputs = in_channels
        for stage in STAGES:
            layers += [
                Fractal(inputs, stage.channels, COLUMNS, stage.dropout, DROP_PATH),
                nn.MaxPool2d(2),
            ]
            inputs = stage.channels
        super().__init__(nn.Sequential(*layers), nn.Linear(inputs, num_classes))
        he_init(self)
        for norm in self._norms():
            norm.momentum = 0.0  # a training step moves no average; _measure does

    def forward(self, x: torch.Tensor) -> torch.Tensor | AuxiliaryLogits:
        if self.training and self._draw_column() is None:
            self._measure(x)
        return super().forward(x)

    @torch.no_grad()
    def _measure(self, x: torch.Tensor) -> None:
        """Let batch norm average over the whole network, which is what evaluation runs.

        The mean of columns varies less than one of them, and less again behind every join: in the
        last block, the variances of dropped paths are thirty times those that evaluation meets.
        """
        self.features.eval()
        for norm in self._norms():
            norm.train().momentum = MOMENTUM
        self.features(x)
        for norm in self._norms():
            norm.momentum = 0.0
        self.features.train()

    def _norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.features.modules() if isinstance(m, nn.BatchNorm2d)]

    def _draw_column(self) -> int | None:
        column = None
        if float(torch.rand(())) < GLOBAL:
            column = int(torch.randint(1, COLUMNS + 1, ()))
        for module in self.modules():
            if isinstance(module, Fractal):
                module.column = column
        return column
