"""Layers that several papers share."""

from __future__ import annotations

import math

import torch
from torch import nn


def round_channels(channels: float, divisor: int = 8) -> int:
    """Channels of a scaled layer: the nearest multiple of `divisor`, never under 90% of the value.

    Source: the MobileNet authors' own code; a lower count would fall through the 90%.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def he_init(network: nn.Module) -> None:
    """Initialise convolutions for ReLU (He et al., 2015) and linear layers with N(0, 0.01).

    The fan counts within a group; PyTorch's own function takes a depthwise layer for a dense one.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            kernel = math.prod(module.kernel_size)
            fan_out = kernel * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU6. Keeps the size at stride 1.

    Shape: (N, in, H, W) -> (N, out, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1, each with batch norm and ReLU6 (Howard et al., 2017).

    Shape: (N, in, H, W) -> (N, out, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            ConvBNReLU(inputs, inputs, stride=stride, groups=inputs),
            ConvBNReLU(inputs, outputs, kernel=1),
        )


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x/3): its gain is about 1, and f(±1) = ±1 (LeCun et al., 1998, appendix A)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """Sum over 2x2, times a trainable weight, plus a trainable bias, per map (LeCun et al., 1998).

    Shape: (N, C, H, W) -> (N, C, H // 2, W // 2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # A quarter: the sum starts out as the average.
        self.weight = nn.Parameter(torch.full((channels,), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.average = nn.AvgPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = 4 * self.average(x)
        out: torch.Tensor = total * self.weight[:, None, None] + self.bias[:, None, None]
        return out
