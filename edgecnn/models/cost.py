"""What a network costs, computed from the module itself: parameters, MACs, receptive field."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn


@runtime_checkable
class Countable(Protocol):
    """A layer of ours that knows its own MACs."""

    def macs(self, output: torch.Size) -> int: ...


@dataclass(frozen=True)
class LayerCost:
    """One layer for one image; `output` is (C, H, W) or (features,)."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """Layers in the order in which they run; `parameters` are the trainable ones."""

    layers: tuple[LayerCost, ...]
    parameters: int
    macs: int


def parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def cost(network: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """Count parameters and multiply-accumulates of convolutions and linear layers.

    Args:
        input_shape: (C, H, W) of one image.
    """
    layers: list[LayerCost] = []

    def record(name: str, module: nn.Module, output: torch.Tensor) -> None:
        own = sum(p.numel() for p in module.parameters(recurse=False) if p.requires_grad)
        layers.append(
            LayerCost(
                name, type(module).__name__, tuple(output.shape[1:]), own, _macs(module, output)
            )
        )

    hooks = [
        module.register_forward_hook(lambda m, _, output, name=name: record(name, m, output))
        for name, module in network.named_modules()
        if not list(module.children()) or list(module.parameters(recurse=False))
    ]
    try:
        run_once(network, torch.zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(tuple(layers), parameters(network), sum(layer.macs for layer in layers))


def _macs(module: nn.Module, output: torch.Tensor) -> int:
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * output.shape[-2] * output.shape[-1]
    if isinstance(module, nn.Linear):
        return module.weight.numel()
    return module.macs(output.shape) if isinstance(module, Countable) else 0


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


def receptive_field(network: nn.Module, channels: int) -> int:
    """Pixels of the input that one unit of the last feature map can see, in one direction.

    Found by the support of the gradient of `network.features`, with every weight positive and
    every pooling an average, so that nothing cancels. The input grows until it holds the field.
    """
    probe = _all_positive(network.features)  # type: ignore[arg-type]  # nn.Module.__getattr__
    size = 64
    while True:
        x = torch.ones(1, channels, size, size, dtype=torch.float64, requires_grad=True)
        out = probe(x)
        middle = out.shape[-1] // 2
        out[0, :, middle, middle].sum().backward()
        assert x.grad is not None
        seen = x.grad[0].abs().sum(0).sum(0) > 0
        columns = seen.nonzero().flatten()
        if columns.min() > 0 and columns.max() < size - 1:
            return int(columns.max() - columns.min() + 1)
        size *= 2


def _all_positive(features: nn.Module) -> nn.Module:
    probe = copy.deepcopy(features).double().eval()
    for name, module in list(probe.named_modules()):
        for parameter in module.parameters(recurse=False):
            parameter.data.fill_(1 / max(1, parameter[0].numel()) if parameter.dim() > 1 else 1.0)
        if isinstance(module, nn.MaxPool2d):
            average = nn.AvgPool2d(
                module.kernel_size, module.stride, module.padding, module.ceil_mode
            )
            probe.set_submodule(name, average)
        elif _is_activation(module):
            probe.set_submodule(name, nn.Identity())
    return probe


def _is_activation(module: nn.Module) -> bool:
    activations = (nn.ReLU, nn.ReLU6, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid)
    return isinstance(module, activations) or type(module).__name__ == "ScaledTanh"
