"""Activations that PyTorch does not have."""

from __future__ import annotations

import torch
from torch import nn


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x/3): its gain is about 1, and f(±1) = ±1 (LeCun et al., 1998, appendix A)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Maxout(nn.Module):
    """The largest of each `pieces` neighbouring channels (Goodfellow et al., 2013).

    Shape: (N, C · pieces, ...) -> (N, C, ...).
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(len(x), -1, self.pieces, *x.shape[2:]).amax(2)
