"""Activations that PyTorch does not have."""

from __future__ import annotations

from functools import reduce

import torch
from torch import nn

from edgecnn_runtime.errors import InputError


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x/3): its gain is about 1, and f(±1) = ±1 (LeCun et al., 1998, appendix A)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Maxout(nn.Module):
    """The largest of each `pieces` neighbouring channels (Goodfellow et al., 2013).

    Shape: (N, C · pieces, ...) -> (N, C, ...).

    Raises:
        InputError: in the forward pass, channels that are no multiple of `pieces`.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if int(x.shape[1]) % self.pieces:
            raise InputError(f"{x.shape[1]} channels; maxout expected a multiple of {self.pieces}")
        return reduce(torch.maximum, (x[:, i :: self.pieces] for i in range(self.pieces)))

    def extra_repr(self) -> str:
        return f"{self.pieces}"
