"""Max pooling that can be undone: it tells where the maxima stood."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SwitchPool2d(nn.Module):
    """Max pooling that remembers where each maximum stood: its switches (Zeiler & Fergus, 2014).

    Shape: (N, C, H, W) -> pooled (N, C, H', W') and switches of the same shape, places in H·W.
    """

    def __init__(self, kernel: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride or kernel, padding

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, switches = F.max_pool2d(
            x, self.kernel, self.stride, self.padding, return_indices=True
        )
        return pooled, switches

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


class Unpool2d(nn.Module):
    """Put values back where the maxima stood, zeros elsewhere: the backward pass of max pooling.

    Where windows overlap and share a maximum, their values add up; `torch.nn.MaxUnpool2d` keeps
    only one of them.
    """

    def forward(self, y: torch.Tensor, switches: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Unpool.

        Args:
            y: (N, C, H', W'), with the `switches` that the pooling gave.
            size: (N, C, H, W) of what was pooled.
        """
        flat = y.new_zeros(size).flatten(2)
        return flat.scatter_add(2, switches.flatten(2), y.flatten(2)).reshape(size)
