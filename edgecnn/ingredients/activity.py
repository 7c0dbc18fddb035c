"""How many units of each layer are silent, and how many units there are for each input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from edgecnn_runtime.errors import InputError


@dataclass(frozen=True)
class LayerActivity:
    """One layer.

    Attributes:
        units: for one image.
        sparsity: share of them that are exactly 0, over the batch; 0 to 1.
        redundancy: units for each number of the network's input.
    """

    name: str
    kind: str
    units: int
    sparsity: float
    redundancy: float


def activity(network: nn.Module, x: torch.Tensor) -> list[LayerActivity]:
    """Measure each layer of any network on a batch, in evaluation mode, in the order of running.

    Layers that answer with something else than a tensor are left out. A layer that runs twice
    stands there twice.

    Args:
        x: what the network takes, (N, ...).

    Raises:
        InputError: an empty batch.
    """
    if not len(x):
        raise InputError("a batch without an image; expected at least one to measure with")
    found: list[LayerActivity] = []
    inputs = x[0].numel()

    def record(name: str, module: nn.Module, output: object) -> None:
        if isinstance(output, torch.Tensor):
            units = output.numel() // len(x)
            silent = (output == 0).float().mean().item()
            kind = type(module).__name__
            found.append(LayerActivity(name, kind, units, silent, units / inputs))

    hooks = [
        module.register_forward_hook(lambda m, _, output, name=name: record(name, m, output))
        for name, module in network.named_modules()
        if not list(module.children())
    ]
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(x)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return found
