"""Pooling that PyTorch does not have, or does not export."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


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


class LpPool(nn.Module):
    """(mean of |x|^p over a window)^(1/p): the average of |x| at p = 1, its maximum at p = inf.

    `torch.nn.LPPool2d` takes the sum, which grows with the window and has no maximum as its limit.

    Shape: (N, C, H, W) -> (N, C, (H - kernel) // stride + 1, (W - kernel) // stride + 1).
    """

    def __init__(self, p: float, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        self.p, self.kernel, self.stride = p, kernel, stride or kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.abs()
        if math.isinf(self.p):
            return F.max_pool2d(x, self.kernel, self.stride)
        mean = F.avg_pool2d(x.pow(self.p), self.kernel, self.stride)
        # The root's slope at zero is infinite, and a black image would train to NaN.
        return mean.clamp_min(torch.finfo(x.dtype).tiny).pow(1 / self.p)


class AdaptivePool(nn.Module):
    """Average pooling to a map of a given size, whatever comes in, as a graph that exports.

    The windows are those of `torch.nn.AdaptiveAvgPool2d`, which ONNX has only where the sizes
    divide; elsewhere the same averages are taken by two matrix products.

    Shape: (N, C, H, W) -> (N, C, size, size).
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # int(): under tracing a size is a tensor, and here it is a constant of the graph.
        height, width = int(x.shape[-2]), int(x.shape[-1])
        if height == width == self.size:
            return x
        if height % self.size == 0 and width % self.size == 0:
            return F.avg_pool2d(x, (height // self.size, width // self.size))
        rows, columns = (self._windows(n).to(x) for n in (height, width))
        return rows @ x @ columns.T

    def _windows(self, length: int) -> torch.Tensor:
        """(size, length): each row holds the weights of one window."""
        weights = [[0.0] * length for _ in range(self.size)]
        for i, row in enumerate(weights):
            start, stop = i * length // self.size, -(-(i + 1) * length // self.size)
            row[start:stop] = [1 / (stop - start)] * (stop - start)
        return torch.tensor(weights)
