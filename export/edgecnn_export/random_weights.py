"""Weights of chance that answer every picture differently, as trained ones do."""

from __future__ import annotations

import math

import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.evaluation.predict import prepared
from edgecnn.models.layers import random_statistics
from edgecnn_runtime.manifest import Input

IMAGES = 4  # one crop of each photograph
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def randomise(network: nn.Module, spec: Input) -> None:
    """Give an untrained network no layer that does nothing, and the statistics of real images.

    A fresh batch norm passes everything on and a fresh layer scale stops everything, so a graph
    that lost one would give the same answers. Statistics that fit no image let the signal fade or
    grow from layer to layer, until every picture gets the same answer and parity proves nothing.

    Args:
        spec: the input on which the statistics are measured.
    """
    random_statistics(network)
    for parameter in network.parameters():
        _vary(parameter)
    _measure(network, prepared(colour_crops(IMAGES), spec))


@torch.no_grad()
def _vary(parameter: torch.Tensor) -> None:
    """A parameter that starts as a constant gets values around it."""
    first = parameter.flatten()[:1]
    if not first.numel() or not torch.equal(
        parameter, first.expand_as(parameter.flatten()).view_as(parameter)
    ):
        return
    if abs(float(first)) < 0.01:  # a bias, a layer scale, the last layer of a branch
        bound = 0.2 / math.sqrt(math.prod(parameter.shape[1:]))
        parameter.uniform_(-bound, bound)
    else:
        parameter.mul_(torch.empty_like(parameter).uniform_(0.7, 1.3))


@torch.no_grad()
def _measure(network: nn.Module, images: torch.Tensor) -> None:
    """One pass in which layers scale their weights and batch norms take their statistics."""
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, BATCH_NORM) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    layers = [m for m in network.modules() if type(m) in (nn.Conv2d, nn.Linear)]
    hooks = [layer.register_forward_hook(_unit_variance) for layer in layers]
    network(images)
    for hook in hooks:
        hook.remove()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval()
        norm.momentum = momentum
        # A channel that is the same everywhere would be scaled up to its rounding errors.
        assert norm.running_var is not None
        norm.running_var.clamp_(min=float(norm.running_var.mean()) / 100)


def _unit_variance(layer: nn.Module, _: tuple[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    """Scale a layer so that what it gives has a standard deviation of 1 (Mishkin, Matas, 2016)."""
    scale = 1 / out.std().clamp(1e-6, 1e6)
    for parameter in layer.parameters(recurse=False):
        parameter.mul_(scale)
    return out * scale
