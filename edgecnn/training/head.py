"""The head of a network, which answers, and the rest, which others have trained."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from edgecnn.models.layers import Auxiliaries

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def output_layers(network: nn.Module) -> tuple[str, ...]:
    """Names of the layers that the number of classes gives its size: the last one, and the last of
    each auxiliary head.
    """
    return tuple(
        [name for name, module in branch if [*_parameters(module), *_buffers(module)]][-1]
        for branch in _branches(network)
    )


def head_layers(network: nn.Module) -> list[nn.Module]:
    """The last layer with weights that train, and all layers of auxiliary heads.

    LeNet-5's outputs have none: there it is the layer before them.
    """
    main, *auxiliary = _branches(network)
    last = [module for _, module in main if _parameters(module)][-1]
    return [last, *(module for branch in auxiliary for _, module in branch)]


def distances(network: nn.Module) -> dict[nn.Module, int]:
    """How many layers with weights stand between each module and the outputs, 0 for the head.

    Layers count in the order in which the network's file defines them. What has no matrix of
    weights, such as batch norm, goes with the layer before it.
    """
    main, *auxiliary = _branches(network)
    found: dict[nn.Module, int] = {}
    layers = 0
    for _, module in main:
        layers += any(p.dim() > 1 for p in _parameters(module))
        found[module] = layers
    found = {module: layers - place for module, place in found.items()}
    return found | {module: 0 for branch in auxiliary for _, module in branch}


class Backbone:
    """All of a network but its head. Frozen, neither its weights move nor batch norm's statistics;
    dropout goes on.
    """

    def __init__(self, network: nn.Module) -> None:
        head = set(head_layers(network))
        self._network = network
        layers = {name: m for name, m in network.named_modules() if m not in head}
        self._layers = set(layers)
        self._parameters = [p for m in layers.values() for p in _parameters(m) if p.requires_grad]
        self.frozen = False

    def freeze(self) -> None:
        """To be called before each step: validation gives batch norm its training mode back."""
        self.frozen = True
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        self._set_norms(training=False)

    def thaw(self) -> None:
        self.frozen = False
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        self._set_norms(training=True)

    def _set_norms(self, *, training: bool) -> None:
        """By name: on several GPUs Lightning puts others in their place."""
        for name, module in self._network.named_modules():
            if name in self._layers and isinstance(module, NORMS):
                module.train(training)


Branch = list[tuple[str, nn.Module]]


def _branches(network: nn.Module) -> list[Branch]:
    """The modules by name, in order, without those of auxiliary heads; then each of these heads."""
    heads = {f"{name}." for name, m in network.named_modules() if isinstance(m, Auxiliaries)}
    main = [(n, m) for n, m in network.named_modules() if not n.startswith(tuple(heads))]
    return [main, *_heads(network)]


def _heads(network: nn.Module) -> Iterator[Branch]:
    for name, group in network.named_modules():
        if isinstance(group, Auxiliaries):
            for child, head in group.named_children():
                yield list(head.named_modules(prefix=f"{name}.{child}"))


def _parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _buffers(module: nn.Module) -> list[object]:
    return list(module.buffers(recurse=False))
