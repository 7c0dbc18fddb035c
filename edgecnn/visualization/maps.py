"""The feature maps of a network, of ours or of somebody else's, by the names of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from edgecnn.models.layers import AdaptivePool
from edgecnn_runtime.errors import InputError, unknown_name

Shape = tuple[int, int, int]


def map_layers(network: nn.Module, x: torch.Tensor) -> dict[str, Shape]:
    """The layers that give a map of more than one place, in the order in which they run.

    A layer is a part of the network, or a member of a part that is a plain sequence. Adaptive
    poolings are none: they only fit a map to what is fully connected to it.

    Args:
        x: one image, (1, C, H, W).

    Returns:
        Name -> (channels, height, width).

    Raises:
        InputError: no layer gives a map.
    """
    with recorded(network, _parts(network)) as maps, torch.no_grad():
        network(x)
    found = {
        name: (int(m.shape[1]), int(m.shape[2]), int(m.shape[3]))
        for name, m in maps.items()
        if m.dim() == 4 and m.shape[2] * m.shape[3] > 1
    }
    if not found:
        raise InputError("no layer of this network gives a map of more than one place")
    return found


def check_layers(names: Sequence[str], network: nn.Module, known: Sequence[str]) -> None:
    """Any module may be looked at; a wrong name is answered with the nearest layer.

    Raises:
        InputError: no such module.
    """
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules or not name:
            raise unknown_name("layer", name, known)


@contextmanager
def recorded(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """While the block runs, what each of these modules answered last, in the order of running.

    Gradients flow through the answers. What answers with something else than a tensor is left out.
    """
    maps: dict[str, torch.Tensor] = {}

    def record(name: str, _: nn.Module, __: object, output: object) -> torch.Tensor | None:
        if not isinstance(output, torch.Tensor):
            return None
        maps[name] = output
        return output.clone()  # the next layer may overwrite what it is given

    hooks = [network.get_submodule(n).register_forward_hook(partial(record, n)) for n in names]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def map_of(maps: dict[str, torch.Tensor], layer: str) -> torch.Tensor:
    """What was recorded of a layer: (N, C, H, W).

    Raises:
        InputError: it did not run, or what it gives has no places.
    """
    found = maps.get(layer)
    if found is None or found.dim() != 4:
        raise InputError(f"layer {layer} gives no map; expected one with height and width")
    return found


def spread(names: Sequence[str], count: int) -> list[str]:
    """As many of them, from the first to the last, at even distances."""
    if count >= len(names):
        return list(names)
    last = max(1, count - 1)
    return [names[round(i * (len(names) - 1) / last)] for i in range(count)]


def _parts(network: nn.Module) -> list[str]:
    names: list[str] = []
    for name, child in network.named_children():
        inside = [f"{name}.{n}" for n, _ in child.named_children()]
        names += inside if type(child) is nn.Sequential else [name]
    fitting = (AdaptivePool, nn.AdaptiveAvgPool2d)
    return [name for name in names if not isinstance(network.get_submodule(name), fitting)]
