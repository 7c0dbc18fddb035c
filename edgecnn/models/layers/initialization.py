"""How networks start."""

from __future__ import annotations

import math

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
