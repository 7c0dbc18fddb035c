"""The recipe's optimiser, and what it does to each group of parameters."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from edgecnn.training.head import NORMS, distances
from edgecnn.training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    groups = parameter_groups(network, recipe.weight_decay, recipe.no_decay)
    if recipe.transfer.layer_decay < 1:
        groups = by_distance(groups, network, recipe.lr, recipe.transfer.layer_decay)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov and recipe.momentum > 0,
        )
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(
            groups, recipe.lr, alpha=recipe.rms_decay, eps=recipe.epsilon, momentum=recipe.momentum
        )
    return torch.optim.AdamW(groups, recipe.lr)


def parameter_groups(
    network: nn.Module, weight_decay: float, no_decay: Collection[str]
) -> list[dict[str, Any]]:
    """The parameters that decay, and those that do not.

    Args:
        no_decay: `bias`, `norm`, `depthwise`: what stays as it is.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            stays = _kind(module, name) in no_decay
            (kept if stays else decayed).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": weight_decay}]
    if kept:
        groups.append({"params": kept, "weight_decay": 0.0})
    return groups


def by_distance(
    groups: list[dict[str, Any]], network: nn.Module, lr: float, decay: float
) -> list[dict[str, Any]]:
    """Groups of parameters, each split by how far its layers are from the outputs.

    Returns:
        Groups with a rate of their own, lr · decay^distance: what lies deep in a trained network
        is general, and has least to learn (Howard, Ruder, 2018, arXiv:1801.06146).
    """
    places = {p: d for m, d in distances(network).items() for p in m.parameters(recurse=False)}
    return [
        {**group, "params": parameters, "lr": lr * decay**distance}
        for group in groups
        for distance in sorted({places[p] for p in group["params"]})
        if (parameters := [p for p in group["params"] if places[p] == distance])
    ]


def _kind(module: nn.Module, name: str) -> str:
    if isinstance(module, NORMS):
        return "norm"
    if name == "bias":
        return "bias"
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
        return "depthwise"
    return "weight"


@torch.no_grad()
def clip_filters(network: nn.Module, radius: float) -> None:
    """Scale down each filter whose root mean square exceeds `radius` (Zeiler and Fergus, 2014).

    A few filters of the first layer would dominate otherwise. The paper's radius of 0.1 is for
    images on a scale of ±128; ours are normalised, so that it rarely binds there.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            rms = module.weight.square().mean((1, 2, 3), keepdim=True).sqrt()
            module.weight.mul_((radius / rms.clamp_min(1e-12)).clamp_max(1))
