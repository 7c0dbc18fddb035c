"""Layers that are neither pooling nor plain convolutions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.filters.boundary import margins
from edgecnn_runtime.errors import InputError


class Maxout(nn.Module):
    """The largest of k neighbouring channels (Goodfellow et al., 2013).

    Shape: (N, C·k, ...) -> (N, C, ...).
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        if int(a.shape[1]) % self.pieces:
            raise InputError(f"{a.shape[1]} channels; maxout expected a multiple of {self.pieces}")
        grouped = a.reshape(a.shape[0], -1, self.pieces, *a.shape[2:])
        return grouped.amax(2)

    def extra_repr(self) -> str:
        return f"{self.pieces}"


class LocalResponseNorm(nn.LocalResponseNorm):
    """h_i / (k + α · sum over the nearest n channels of h_j²)^β (Krizhevsky et al., 2012).

    The formula and the constants of the paper; PyTorch's own layer divides α by n.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__(size, alpha * size, beta, k)


class LocallyConnected2d(nn.Module):
    """A convolution whose weights are not shared: every place has a kernel of its own.

    Zeros beyond the image; the output has its size.

    Args:
        size: (H, W) of the image.
        kernel: side of the window.

    Shape: (N, inputs, H, W) -> (N, outputs, H, W).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        kernel: int,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.size, self.kernel = size, kernel
        seen, places = inputs * kernel**2, math.prod(size)
        self.weight = nn.Parameter(torch.empty(outputs, seen, places, device=device))
        nn.init.normal_(self.weight, 0, math.sqrt(2 / seen))
        self.bias = nn.Parameter(torch.zeros(outputs, *size, device=device)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before, after = margins(self.kernel, "same")
        windows = F.unfold(F.pad(x, (before, after, before, after)), self.kernel)
        out = torch.einsum("nsp,osp->nop", windows, self.weight)
        out = out.reshape(x.shape[0], -1, *self.size)
        return out if self.bias is None else out + self.bias
