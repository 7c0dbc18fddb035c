"""What a network costs, computed from the module itself.

Parameters, multiply-accumulates, activations, memory, and what each layer sees of the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from edgecnn.models.layers import Auxiliaries
from edgecnn.models.memory import ActivationMemory
from edgecnn.models.receptive_field import Seen, see


@runtime_checkable
class Countable(Protocol):
    """A layer of ours that knows its own MACs."""

    def macs(self, output: torch.Size) -> int: ...


@dataclass(frozen=True)
class LayerCost:
    """One layer for one image; where an ensemble cuts it into crops, for all of them.

    Attributes:
        output: (C, H, W) or (features,).
        activations: values that the layer gives.
        receptive_field: pixels of the input that a unit sees in one direction, squeeze-and-
            excitation left out; None behind the last feature map, where a unit sees everything.
        stride: pixels of the input between neighbouring units.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    activations: int
    receptive_field: int | None
    stride: int | None


@dataclass(frozen=True)
class Cost:
    """Layers in the order in which they run.

    Attributes:
        parameters: the trainable ones, auxiliary heads left out.
        activations: values that convolutions and linear layers give.
        peak_activation_bytes: for one image in float32, in an engine that frees what it can.
        receptive_field: of the last feature map; None where a network has no `features`, or in
            them a layer through which places cannot be followed.
    """

    layers: tuple[LayerCost, ...]
    parameters: int
    macs: int
    activations: int
    peak_activation_bytes: int
    receptive_field: int | None


def parameters(module: nn.Module) -> int:
    """Trainable parameters; auxiliary heads, which only training runs, are left out."""
    heads = {p for m in module.modules() if isinstance(m, Auxiliaries) for p in m.parameters()}
    return sum(p.numel() for p in module.parameters() if p.requires_grad and p not in heads)


def cost(network: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """Count for one image, without computing anything on content.

    Args:
        network: on any device; on the meta device even the largest takes a moment.
        input_shape: (C, H, W) of one image.
    """
    layers: list[LayerCost] = []
    seen = _see(network)
    x = torch.zeros(1, *input_shape, device=next(network.parameters()).device)

    def record(name: str, module: nn.Module, output: torch.Tensor) -> None:
        layers.append(
            LayerCost(
                name=name,
                kind=type(module).__name__,
                output=tuple(output.shape[1:]),
                parameters=sum(
                    p.numel() for p in module.parameters(recurse=False) if p.requires_grad
                ),
                macs=_macs(module, output),
                activations=output.numel(),
                receptive_field=seen[name].pixels if name in seen else None,
                stride=seen[name].stride if name in seen else None,
            )
        )

    hooks = [
        module.register_forward_hook(lambda m, _, output, name=name: record(name, m, output))
        for name, module in network.named_modules()
        if not list(module.children()) or list(module.parameters(recurse=False))
    ]
    try:
        with ActivationMemory(x) as memory:
            run_once(network, x)
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(
        layers=tuple(layers),
        parameters=parameters(network),
        macs=sum(layer.macs for layer in layers),
        activations=sum(layer.activations for layer in layers if layer.macs),
        peak_activation_bytes=memory.peak_bytes(),
        receptive_field=seen["features"].pixels if seen else None,
    )


def _see(network: nn.Module) -> dict[str, Seen]:
    try:
        return see(network) if hasattr(network, "features") else {}
    except NotImplementedError:  # no network of the zoo; a user's counts all the same
        return {}


def _macs(module: nn.Module, output: torch.Tensor) -> int:
    # A weight works once for each place of a map, and for each image where one became several.
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * output.shape[-2] * output.shape[-1] * output.shape[0]
    if isinstance(module, nn.Linear):
        return module.weight.numel() * output.shape[0]
    return module.macs(output.shape) * output.shape[0] if isinstance(module, Countable) else 0


def run_once(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """One pass in evaluation mode without gradients; the mode is put back."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            out: torch.Tensor = network(x)
            return out
    finally:
        network.train(was_training)
