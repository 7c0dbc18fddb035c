"""Cross-entropy and the sum of squares: behind their usual outputs both have δ = y - d."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class CrossEntropy(nn.Module):
    """-sum_k d_k log y_k with y = softmax(a), averaged over the batch.

    The gradient by a is (y - d) / N.

    Shape: a (N, K), d (N, K) of probabilities -> ().
    """

    def forward(self, a: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(a, d)


class SumOfSquares(nn.Module):
    """½ sum_k (y_k - d_k)², averaged over the batch: SSE. The gradient by y is (y - d) / N.

    Shape: y (N, K), d (N, K) -> ().
    """

    def forward(self, y: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return (y - d).square().sum() / (2 * y.shape[0])
