"""Normalisation across channels, as it was before batch norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class LocalResponseNorm(nn.Module):
    """x / (k + alpha · sum of squares of `size` neighbouring channels)^beta.

    Krizhevsky et al. (2012), section 3.3. alpha multiplies the sum, as in the paper: PyTorch's
    own layer, after Caffe, multiplies the mean. The sum is written in slices, since PyTorch
    exports its own as a three-dimensional pooling that few engines run fast.

    Shape: (N, C, H, W) -> the same.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
    ) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # int(): under tracing a size is a tensor, and here it is a constant of the graph.
        channels, before = int(x.shape[1]), self.size // 2
        squares = F.pad(x.square(), (0, 0, 0, 0, before, self.size - 1 - before))
        total = squares[:, :channels]
        for shift in range(1, self.size):
            total = total + squares[:, shift : shift + channels]
        return x * (self.k + self.alpha * total).pow(-self.beta)
