"""What a recipe changes in a network before the first step: initial weights and dropout."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import he_init, lecun_init
from edgecnn.training.recipe import Recipe
from edgecnn_runtime.errors import InputError


def start(network: nn.Module, recipe: Recipe) -> None:
    """Fresh weights as the recipe draws them; from PyTorch's generator, which the run seeds."""
    if recipe.initialisation != "own":
        INITIALISATIONS[recipe.initialisation](network)


def _xavier(network: nn.Module) -> None:
    """Glorot and Bengio (2010): uniform, variance 2 / (fan-in + fan-out), biases of zero."""
    for module in _weighted(network):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _gaussian(network: nn.Module) -> None:
    """N(0, 0.01²) and biases of zero, as ZFNet has it."""
    for module in _weighted(network):
        nn.init.normal_(module.weight, 0, 0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _krizhevsky(network: nn.Module) -> None:
    """N(0, 0.01²) and, so that ReLUs start with positive inputs, biases of one in all convolutions
    but the first and the third, and in the hidden linear layers (Krizhevsky et al., 2012).
    """
    _gaussian(network)
    layers = _weighted(network)
    convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
    linear = [m for m in layers if isinstance(m, nn.Linear)]
    for module in [*convolutions[1:2], *convolutions[3:], *linear[:-1]]:
        if isinstance(module.bias, nn.Parameter):
            nn.init.ones_(module.bias)


INITIALISATIONS = {
    "he": he_init,
    "lecun": lecun_init,
    "xavier": _xavier,
    "gaussian": _gaussian,
    "krizhevsky": _krizhevsky,
}


def _weighted(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def set_dropout(network: nn.Module, share: float | None) -> None:
    """Give the layers before the outputs this dropout, in place of their own.

    A network without dropout there gets it in front of its last layer. No parameter and no name
    changes, and evaluation mode, exports included, does not see it.

    Raises:
        InputError: a network without a classifier to put it in.
    """
    if share is None:
        return
    classifier = getattr(network, "classifier", None)
    if not isinstance(classifier, nn.Module):
        raise InputError(f"the recipe's dropout {share:g} has no classifier to go to; leave it out")
    layers = list(classifier.modules())
    drops = [m for m in layers if isinstance(m, nn.Dropout)]
    for module in drops:
        module.p = share
    if not drops:
        last = [m for m in layers if isinstance(m, nn.Linear | nn.Conv2d)][-1]

        def drop(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return (F.dropout(inputs[0], share, module.training), *inputs[1:])

        last.register_forward_pre_hook(drop)
