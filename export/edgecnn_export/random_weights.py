"""Weights of chance in which no layer does nothing, as in trained ones."""

from __future__ import annotations

import math

import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.evaluation.predict import prepared
from edgecnn.models.layers import random_statistics
from edgecnn_runtime.manifest import Input

PICTURES, SEED = 16, 2  # others than those on which parity is measured


def randomise(network: nn.Module, spec: Input) -> None:
    """Move every parameter that starts as a constant, and give batch norms statistics.

    A fresh layer norm passes everything on and a fresh layer scale stops everything, so a graph
    that lost one would give the same answers.

    Args:
        spec: how pictures become what the network takes; statistics are measured on a few.
    """
    for parameter in network.parameters():
        _move(parameter)
    pictures = prepared(colour_crops(PICTURES, SEED), spec)
    random_statistics(network, (spec.channels, spec.height, spec.width), pictures)


@torch.no_grad()
def _move(parameter: torch.Tensor) -> None:
    if not parameter.numel() or parameter.min() != parameter.max():
        return
    if parameter.abs().max() < 0.01:  # a bias, a layer scale, the last layer of a branch
        bound = 0.2 / math.sqrt(math.prod(parameter.shape[1:]))
        parameter.uniform_(-bound, bound)
    else:
        parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))
