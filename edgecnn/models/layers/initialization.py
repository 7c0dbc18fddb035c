"""How networks start."""

from __future__ import annotations

import math

from torch import nn

STATISTICS = (
    ("running_mean", -0.2, 0.2),
    ("bias", -0.2, 0.2),
    ("running_var", 0.7, 1.3),
    ("weight", 0.7, 1.3),
)


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


def random_statistics(network: nn.Module) -> None:
    """Give batch norm statistics and weights that do something, as after training.

    A fresh batch norm passes everything on, so a graph that lost one would give the same answers.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            for name, low, high in STATISTICS:
                if name in state:
                    nn.init.uniform_(state[name], low, high)
