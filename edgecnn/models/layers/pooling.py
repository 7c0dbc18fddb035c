"""Pooling that PyTorch does not have, or does not export."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn_runtime.errors import InputError


class LpPool2d(nn.Module):
    """The lp mean of a window, (mean |x|^p)^(1/p): p = 1 is the average, p -> ∞ the largest.

    `torch.nn.LPPool2d` takes the sum, which grows with the window and has no maximum as its limit.
    Windows overlap where the stride is below the kernel, as in AlexNet (z = 3, s = 2).

    Args:
        p: at least 1; `math.inf` is max pooling of |x|.
        kernel: side of the window, z.
        stride: s; the kernel by default.

    Shape: (N, C, H, W) -> (N, C, (H - kernel) // stride + 1, (W - kernel) // stride + 1).

    Raises:
        InputError: p below 1, where the lp mean is none.
    """

    def __init__(self, p: float, kernel: int, stride: int | None = None) -> None:
        super().__init__()
        if not p >= 1:
            raise InputError(f"lp pooling with p = {p}; expected at least 1, or math.inf for max")
        self.p, self.kernel, self.stride = float(p), kernel, stride or kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.abs()
        if self.p == 1:
            return F.avg_pool2d(x, self.kernel, self.stride)
        largest = F.max_pool2d(x, self.kernel, self.stride)
        if math.isinf(self.p):
            return largest
        # Powers of shares of the largest: |x|^p itself would overflow long before p is large.
        largest = largest.detach()  # the formula does not depend on it, nor does its gradient
        scale = torch.where(largest > 0, largest, 1.0)
        total = self._sum_of_powers(x, scale)
        # The largest has the share 1. The root's slope at zero, in a black window, is infinite.
        return largest * (total.clamp(min=1.0) / self.kernel**2).pow(1 / self.p)

    def _sum_of_powers(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Over each window, in slices: unfolded windows export as a gathering of single values."""
        # int(): under tracing a size is a tensor, and here it is a constant of the graph.
        height, width = ((int(n) - 1) * self.stride + 1 for n in scale.shape[-2:])
        total = 0 * scale
        for i in range(self.kernel):
            for j in range(self.kernel):
                place = x[..., i : i + height : self.stride, j : j + width : self.stride]
                total = total + (place / scale).pow(self.p)
        return total

    def extra_repr(self) -> str:
        return f"p={self.p:g}, kernel={self.kernel}, stride={self.stride}"


class GreyDilation(nn.Module):
    """Max pooling at every place, s = 1: the grey dilation of morphology, of the same size.

    Args:
        kernel: side of the window, odd.

    Shape: (N, C, H, W) -> (N, C, H, W).

    Raises:
        InputError: an even kernel, whose window has no middle.
    """

    def __init__(self, kernel: int = 3) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise InputError(f"a dilation of size {kernel}; expected an odd number")
        self.kernel = kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, self.kernel, stride=1, padding=self.kernel // 2)

    def extra_repr(self) -> str:
        return f"{self.kernel}"


class Striding(nn.Module):
    """Keep every s-th place of each side.

    Shape: (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., :: self.stride, :: self.stride]

    def extra_repr(self) -> str:
        return f"{self.stride}"


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
