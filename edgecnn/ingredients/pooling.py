"""Pooling, from the average to the largest, and its way back."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn_runtime.errors import InputError


class LpPool2d(nn.Module):
    """The lp mean of a window, (mean |h|^p)^(1/p): p = 1 is the average, p -> ∞ the largest.

    PyTorch's layer of this name sums where this one averages, so that its answer grows with the
    window. Windows overlap where the stride is below the size, as in AlexNet (z = 3, s = 2).

    Args:
        p: at least 1; `math.inf` is max pooling of |h|.
        size: side of the window, z.
        stride: s; the size by default.

    Shape: (N, C, H, W) -> (N, C, (H - z) // s + 1, (W - z) // s + 1).
    """

    def __init__(self, p: float, size: int, stride: int | None = None) -> None:
        super().__init__()
        if not p >= 1:
            raise InputError(f"lp pooling with p = {p}; expected at least 1, or math.inf for max")
        self.p, self.size, self.stride = float(p), size, stride or size

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        h = h.abs()
        largest = F.max_pool2d(h, self.size, self.stride)
        if math.isinf(self.p):
            return largest
        if self.p == 1:
            return F.avg_pool2d(h, self.size, self.stride)
        # Powers of shares of the largest: h^p itself would overflow long before p is large.
        shape = (h.shape[0], int(h.shape[1]), self.size**2, *largest.shape[-2:])
        windows = F.unfold(h, self.size, stride=self.stride).reshape(shape)
        scale = largest.detach()[:, :, None]
        share = torch.where(scale > 0, windows / scale.clamp(min=1e-30), torch.ones_like(windows))
        return scale[:, :, 0] * share.pow(self.p).mean(2).pow(1 / self.p)

    def extra_repr(self) -> str:
        return f"p={self.p:g}, size={self.size}, stride={self.stride}"


class GreyDilation(nn.Module):
    """Max pooling at every place: the grey dilation of morphology, of the same size.

    Args:
        size: side of the window, odd.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise InputError(f"a dilation of size {size}; expected an odd number")
        self.size = size

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(h, self.size, stride=1, padding=self.size // 2)

    def extra_repr(self) -> str:
        return f"{self.size}"


class Striding(nn.Module):
    """Keep every s-th place of each side.

    Shape: (N, C, H, W) -> (N, C, ceil(H / s), ceil(W / s)).
    """

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return h[..., :: self.stride, :: self.stride]

    def extra_repr(self) -> str:
        return f"{self.stride}"


class SwitchPool2d(nn.Module):
    """Max pooling that remembers where each maximum stood: its switches (Zeiler & Fergus, 2014).

    Shape: (N, C, H, W) -> pooled (N, C, H', W') and switches of the same shape, places in H·W.
    """

    def __init__(self, size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride or size, padding

    def forward(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, switches = F.max_pool2d(
            h, self.size, self.stride, self.padding, return_indices=True
        )
        return pooled, switches

    def extra_repr(self) -> str:
        return f"size={self.size}, stride={self.stride}, padding={self.padding}"


class Unpool2d(nn.Module):
    """Put values back where the maxima stood, zeros elsewhere: the backward pass of max pooling.

    Where windows overlap and share a maximum, their values add up.
    """

    def forward(self, y: torch.Tensor, switches: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Unpool.

        Args:
            y: (N, C, H', W'), with the `switches` that the pooling gave.
            size: (N, C, H, W) of what was pooled.
        """
        flat = y.new_zeros(size).flatten(2)
        return flat.scatter_add(2, switches.flatten(2), y.flatten(2)).reshape(size)
