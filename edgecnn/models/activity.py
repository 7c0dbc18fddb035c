"""How many units of each layer are silent, and how many units there are for each input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn

from edgecnn.models.cost import run_once
from edgecnn_runtime.errors import InputError


@dataclass(frozen=True)
class LayerActivity:
    """One layer.

    Attributes:
        units: for one image.
        sparsity: share of them that are exactly 0, over all images; 0 to 1.
        redundancy: units for each number of the network's input.
    """

    name: str
    kind: str
    units: int
    sparsity: float
    redundancy: float


def activity(network: nn.Module, batches: Iterable[torch.Tensor]) -> list[LayerActivity]:
    """Measure each layer of any network on images, in evaluation mode, in the order of running.

    Layers that answer with something else than a tensor are left out. A layer that runs twice
    stands there twice.

    Args:
        batches: each what the network takes, (N, ...); N may differ.

    Raises:
        InputError: no images.
    """
    parts = [(len(x), _of_a_batch(network, x)) for x in batches if len(x)]
    images = sum(count for count, _ in parts)
    if not images:
        raise InputError("no images; expected at least one to measure with")
    sparsities = (
        sum(count * layers[i].sparsity for count, layers in parts) / images
        for i in range(len(parts[0][1]))
    )
    return [replace(layer, sparsity=s) for layer, s in zip(parts[0][1], sparsities, strict=True)]


def _of_a_batch(network: nn.Module, x: torch.Tensor) -> list[LayerActivity]:
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
    try:
        run_once(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    return found
