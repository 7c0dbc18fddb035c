"""Weights of chance in which no layer does nothing, as in trained ones."""

from __future__ import annotations

import math

import torch
from torch import nn

from edgecnn.models.layers import random_statistics


def randomise(network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Move every parameter that starts as a constant, and give batch norms statistics.

    A fresh layer norm passes everything on and a fresh layer scale stops everything, so a graph
    that lost one would give the same answers.

    Args:
        shape: (C, H, W) of an image that the network takes.
    """
    for parameter in network.parameters():
        _move(parameter)
    random_statistics(network, shape)


@torch.no_grad()
def _move(parameter: torch.Tensor) -> None:
    if not parameter.numel() or parameter.min() != parameter.max():
        return
    if parameter.abs().max() < 0.01:  # a bias, a layer scale, the last layer of a branch
        bound = 0.2 / math.sqrt(math.prod(parameter.shape[1:]))
        parameter.uniform_(-bound, bound)
    else:
        parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))
