"""The tensors that a network passes on, folded to as many as one can look at."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import nn

from edgecnn.models.cost import LayerCost, cost

Kind = Literal["input", "conv", "block", "pool", "linear"]

MOST = 16  # volumes in a picture; more than these are folded


@dataclass(frozen=True)
class Volume:
    """A tensor, and what gives it.

    Attributes:
        shape: (C, H, W), or (features,) where a map has one pixel.
        kind: `block` is a module of several layers with weights, or of branches.
        what: `conv 3x3`, `residual`.
        repeats: modules in a row that are folded into this volume; the shape is the last one's.
        layers: convolutions and linear layers in them.
        parameters, macs: of all that runs from the volume before to this one.
    """

    shape: tuple[int, ...]
    kind: Kind
    what: str
    repeats: int = 1
    layers: int = 0
    parameters: int = 0
    macs: int = 0

    @property
    def is_map(self) -> bool:
        """Whether it has height and width, and is no vector."""
        return len(self.shape) == 3


def volumes(
    network: nn.Module, input_shape: tuple[int, int, int], most: int = MOST
) -> tuple[Volume, ...]:
    """The input, and what each block of a network gives, in the order in which they run.

    The blocks are the network's parts, and the members of those that are plain sequences. What
    only changes values, such as an activation, belongs to the block before. If there are more than
    `most`, neighbours of one kind are folded: those of one shape, and if these are still too many,
    those of one height and width. Fully connected layers are never folded.

    Args:
        network: on any device; on the meta device even the largest takes a moment.
        input_shape: (C, H, W) of one image.
    """
    found = _volumes(network, input_shape)
    for alike in (_one_shape, _one_size):
        if len(found) > most:
            found = _fold(found, alike)
    return tuple(found)


class _Step(NamedTuple):
    module: nn.Module
    shape: tuple[int, ...]
    layers: list[LayerCost]

    @property
    def weighty(self) -> list[LayerCost]:
        return [layer for layer in self.layers if layer.macs]

    @property
    def is_chain(self) -> bool:
        """Whether it is one layer, or layers one after the other: nothing runs side by side."""
        return isinstance(self.module, nn.Sequential) or not any(self.module.children())

    @property
    def sees(self) -> int:
        """Pixels of the input, in one direction; 0 where that is not known."""
        return max((layer.receptive_field or 0 for layer in self.layers), default=0)


def _steps(network: nn.Module, input_shape: tuple[int, int, int]) -> list[_Step]:
    names: list[str] = []
    for name, child in network.named_children():
        inside = [f"{name}.{n}" for n, _ in child.named_children()]
        names += inside if type(child) is nn.Sequential else [name]
    shapes: dict[str, tuple[int, ...]] = {}  # in the order in which they run

    def record(name: str, _: nn.Module, __: object, output: object) -> None:
        if isinstance(output, torch.Tensor):  # the counting sends other things through as well
            shapes[name] = tuple(output.shape[1:])

    hooks = [
        network.get_submodule(name).register_forward_hook(partial(record, name)) for name in names
    ]
    try:
        layers = cost(network, input_shape).layers
    finally:
        for hook in hooks:
            hook.remove()
    return [
        _Step(
            network.get_submodule(name),
            _squeezed(shape),
            [x for x in layers if x.name == name or x.name.startswith(f"{name}.")],
        )
        for name, shape in shapes.items()
    ]


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:1] if math.prod(shape) == shape[0] else shape


def _volumes(network: nn.Module, input_shape: tuple[int, int, int]) -> list[Volume]:
    found = [Volume(input_shape, "input", "input")]
    sees = 1
    for step in _steps(network, input_shape):
        parameters = sum(layer.parameters for layer in step.layers)
        last = found[-1]
        if _only_changes_values(step, last, sees):
            found[-1] = replace(last, parameters=last.parameters + parameters)
        else:
            found.append(
                Volume(
                    shape=step.shape,
                    kind=_kind(step, last),
                    what=_what(step),
                    layers=len(step.weighty),
                    parameters=parameters,
                    macs=sum(layer.macs for layer in step.layers),
                )
            )
        sees = max(sees, step.sees)
    return found


def _only_changes_values(step: _Step, before: Volume, sees: int) -> bool:
    """Activations, norms, dropout, and zeros around a map, which the next layer takes off again.

    A pooling may keep the size; it sees more of the input than the volume before it.
    """
    if step.weighty or step.sees > sees:
        return False
    values, had = math.prod(step.shape), math.prod(before.shape)
    return values == had or (before.is_map and values > had)


def _kind(step: _Step, before: Volume) -> Kind:
    if not step.weighty:
        return "pool" if before.is_map else "linear"
    if len(step.weighty) > 1 or not step.is_chain:
        return "block"
    return "conv" if len(step.weighty[0].output) == 3 else "linear"


def _what(step: _Step) -> str:
    """In words, from the modules themselves: `conv 3x3`, `max pool 3x3/2`, `residual`."""
    if step.is_chain and len(step.weighty) == 1:
        windows = [m for m in step.module.modules() if _window(m)]
        return ", ".join(_words(m) for m in windows or [step.module])
    if type(step.module) is nn.Sequential:
        return "block"
    words = _words(step.module)
    return words if len(step.shape) == 3 else words.replace("adaptive", "global")


def _words(module: nn.Module) -> str:
    """`MaxPool2d(3, 2)` -> `max pool 3x3/2`."""
    name = type(module).__name__.removesuffix("2d")
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+", name)
    words = " ".join(p if p.isupper() and len(p) > 1 else p.lower() for p in parts)
    window = _window(module)
    if window:
        stride = max(_pair(getattr(module, "stride", 1)))
        words += f" {window[0]}x{window[1]}" + (f"/{stride}" if stride > 1 else "")
    groups = getattr(module, "groups", 1)
    if groups == 1:
        return words
    depthwise = groups == getattr(module, "in_channels", None)
    return f"depthwise {words}" if depthwise else f"{words}, {groups} groups"


def _window(module: nn.Module) -> tuple[int, int] | None:
    """The kernel of a convolution or of a pooling; None for everything else."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, torch.Tensor) and weight.dim() > 2:
        return int(weight.shape[-2]), int(weight.shape[-1])
    kernel = getattr(module, "kernel_size", None)
    return None if kernel is None else _pair(kernel)


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


def _one_shape(a: Volume, b: Volume) -> bool:
    return a.shape == b.shape


def _one_size(a: Volume, b: Volume) -> bool:
    return a.shape[1:] == b.shape[1:]


def _fold(found: list[Volume], alike: Callable[[Volume, Volume], bool]) -> list[Volume]:
    folded = found[:1]
    for volume in found[1:]:
        last = folded[-1]
        if volume.kind == last.kind != "linear" and alike(last, volume):
            folded[-1] = Volume(
                shape=volume.shape,
                kind=volume.kind,
                what=_both(last, volume),
                repeats=last.repeats + volume.repeats,
                layers=last.layers + volume.layers,
                parameters=last.parameters + volume.parameters,
                macs=last.macs + volume.macs,
            )
        else:
            folded.append(volume)
    return folded


def _both(a: Volume, b: Volume) -> str:
    """What two have in common: a first stride is not the others', and need not be said."""
    without = [v.what.partition("/")[0] for v in (a, b)]
    if a.what == b.what:
        return a.what
    return without[0] if without[0] == without[1] else a.kind
