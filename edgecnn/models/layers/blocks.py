"""Blocks: layers that run beside one another and come together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import nn

from edgecnn.models.layers.convolution import ConvReLU


class Concat(nn.ModuleList):
    """Branches side by side, their maps one after the other.

    Shape: (N, C, H, W) -> (N, sum of the branches' channels, H', W').
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class Residual(nn.Module):
    """activation(body(x) + shortcut(x)) (He et al., 2015).

    Args:
        body: must not overwrite its input, which the shortcut reads.
        shortcut: the identity, unless the body changes the shape.
        activation: after the sum.

    Shape: (N, C, H, W) -> that of the body.
    """

    def __init__(
        self,
        body: nn.Module,
        shortcut: nn.Module | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()
        self.activation = activation or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.body(x) + self.shortcut(x))
        return out


class SqueezeExcitation(nn.Module):
    """Scale each map by a gate that sees the averages of all maps (Hu et al., 2018).

    Args:
        hidden: length of the bottleneck.
        gate: from the bottleneck's answer to the scale; a sigmoid in the paper.

    Shape: (N, C, H, W) -> the same.
    """

    def __init__(self, channels: int, hidden: int, gate: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            gate(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x * self.gate(x)  # (N, C, H, W) · (N, C, 1, 1)
        return out


class DenseLayer(Concat):
    """All earlier maps, and `growth` new ones behind them: BN-ReLU-1x1, BN-ReLU-3x3.

    Huang et al. (2017), https://arxiv.org/abs/1608.06993, DenseNet-BC.

    Shape: (N, C, H, W) -> (N, C + growth, H, W).
    """

    def __init__(self, inputs: int, growth: int, bottleneck: int = 4) -> None:
        between = bottleneck * growth
        super().__init__(
            nn.Identity(),
            nn.Sequential(
                nn.BatchNorm2d(inputs),
                nn.ReLU(inplace=True),
                nn.Conv2d(inputs, between, 1, bias=False),
                nn.BatchNorm2d(between),
                nn.ReLU(inplace=True),
                nn.Conv2d(between, growth, 3, padding=1, bias=False),
            ),
        )


class Fire(nn.Sequential):
    """Squeeze by 1x1, expand by 1x1 and 3x3 side by side (Iandola et al., 2016).

    Shape: (N, in, H, W) -> (N, 2 · expand, H, W).
    """

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__(
            ConvReLU(inputs, squeeze, 1),
            Concat(ConvReLU(squeeze, expand, 1), ConvReLU(squeeze, expand, 3)),
        )


class Branches(NamedTuple):
    """Channels of an Inception module's layers."""

    plain: int  # 1x1
    reduce3: int  # 1x1 before the 3x3
    conv3: int
    reduce5: int  # 1x1 before the 5x5
    conv5: int
    pool: int  # 1x1 after the pooling

    @property
    def outputs(self) -> int:
        return self.plain + self.conv3 + self.conv5 + self.pool


class Inception(Concat):
    """Filters of several sizes on the same input (Szegedy et al., 2015).

    Args:
        conv: (in, out, kernel) -> convolution with its activation.
        largest: kernel of the third branch.

    Shape: (N, in, H, W) -> (N, branches.outputs, H, W).
    """

    def __init__(
        self,
        inputs: int,
        branches: Iterable[int],
        conv: Callable[[int, int, int], nn.Module] = ConvReLU,
        largest: int = 5,
    ) -> None:
        b = Branches(*branches)
        super().__init__(
            conv(inputs, b.plain, 1),
            nn.Sequential(conv(inputs, b.reduce3, 1), conv(b.reduce3, b.conv3, 3)),
            nn.Sequential(conv(inputs, b.reduce5, 1), conv(b.reduce5, b.conv5, largest)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv(inputs, b.pool, 1)),
        )
