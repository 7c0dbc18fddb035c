"""Radial basis functions as an output layer: each class has a code, and the nearest one wins."""

from __future__ import annotations

import torch
from torch import nn

from edgecnn_runtime.errors import InputError


class RBF(nn.Module):
    """Squared distance to each class's code, y_j = sum_i (h_i - w_ij)² (LeCun et al., 1998).

    The logits are -y / temperature, so that the softmax of them is largest for the nearest code.
    With -y alone it saturates, and LeNet-5's training stalls at 90 to 95%.

    Args:
        codes: (num_classes, inputs), fixed: they are saved with the network and do not train.
        temperature: above 0.

    Shape: (N, inputs) -> (N, num_classes).

    Raises:
        InputError: codes of another shape.
    """

    codes: torch.Tensor

    def __init__(self, codes: torch.Tensor, temperature: float = 10.0) -> None:
        super().__init__()
        if codes.dim() != 2:
            raise InputError(f"codes of shape {tuple(codes.shape)}; expected (num_classes, inputs)")
        self.register_buffer("codes", codes)
        self.temperature = temperature

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        distance = (h[:, None, :] - self.codes).square().sum(-1)
        return -distance / self.temperature

    def extra_repr(self) -> str:
        return f"classes={self.codes.shape[0]}, inputs={self.codes.shape[1]}"


def random_codes(num_classes: int, inputs: int) -> torch.Tensor:
    """Codes of ±1 for classes that have no picture of their own, the same in every run.

    Returns:
        (num_classes, inputs).
    """
    generator = torch.Generator().manual_seed(84)
    return torch.randint(0, 2, (num_classes, inputs), generator=generator) * 2.0 - 1.0
