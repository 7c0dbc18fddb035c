"""How networks start."""

from __future__ import annotations

import math

import torch
from torch import nn


def he_init(network: nn.Module) -> None:
    """Initialise convolutions for ReLU (He et al., 2015) and linear layers with N(0, 0.01).

    The fan counts within a group; PyTorch's own function takes a depthwise layer for a dense one.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            kernel = math.prod(module.kernel_size)
            fan_out = kernel * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def lecun_init(network: nn.Module) -> None:
    """Variance 1 / fan-in (LeCun et al., 1998, Efficient BackProp): for tanh and its kind."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0, 1 / math.sqrt(math.prod(module.weight.shape[1:])))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def random_statistics(
    network: nn.Module, shape: tuple[int, int, int], images: torch.Tensor | None = None
) -> None:
    """Give batch norms gains and statistics that do something, as after training.

    A fresh batch norm passes everything on, so a graph that lost one would give the same answers.
    Statistics that have nothing to do with what the layers give are no better: through a hundred
    layers the values grow until rounding alone decides the answer. So they are measured,
    and then moved a little, variances only upwards: in a network with gates, such as SENet, what is
    too large makes what follows larger still.

    Args:
        network: stays in the mode that it is in.
        shape: (C, H, W) of an image that it takes.
        images: to measure on, (N, C, H, W); noise by default. Noise has hardly any contrast once it
            is averaged over a map, so that a network with gates wants pictures.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    if not norms:
        return
    was_training, momenta = network.training, [norm.momentum for norm in norms]
    network.eval()  # dropout and auxiliary heads keep out of it
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
        norm.train()
        norm.momentum = 1.0  # the statistics of this one batch
    with torch.no_grad():
        network(_noise(shape) if images is None else images)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            assert norm.running_mean is not None
            assert norm.running_var is not None
            spread = norm.running_var.sqrt()
            norm.running_mean += spread * torch.empty_like(spread).uniform_(-0.2, 0.2)
            norm.running_var *= torch.empty_like(spread).uniform_(1.0, 1.6)
    network.train(was_training)


def _noise(shape: tuple[int, int, int]) -> torch.Tensor:
    """Small images are few pixels by the end, and an average needs some."""
    return torch.randn(min(32, max(4, 2**16 // (shape[1] * shape[2]))), *shape)
