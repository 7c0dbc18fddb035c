"""What training minimises: the recipe's loss, of the network and of its auxiliary heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import RBF, AuxiliaryLogits, SumOfSquares
from edgecnn.training.recipe import Recipe
from edgecnn_runtime.errors import InputError


def classification_loss(
    logits: torch.Tensor, targets: torch.Tensor, kind: str, smoothing: float = 0.0
) -> torch.Tensor:
    """One of the recipes' losses, averaged over the batch.

    Args:
        logits: (N, classes); `sse` compares them with the target as they are, without a softmax.
        targets: (N,), the true class of each; or (N, classes), a probability for each class.
        kind: `cross_entropy` or `sse`.
        smoothing: share of the target that is spread over all classes.
    """
    if logits.element_size() < 4:  # of a network that computes in half precision
        logits = logits.float()
    if kind == "cross_entropy":
        return F.cross_entropy(logits, targets, label_smoothing=smoothing)
    classes = logits.shape[1]
    wanted = targets if targets.dim() == 2 else F.one_hot(targets, classes)
    desired = wanted * (1 - smoothing) + smoothing / classes
    out: torch.Tensor = SumOfSquares()(logits, desired)
    return out


def training_loss(
    outputs: torch.Tensor | AuxiliaryLogits, targets: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """The loss of what a network answers with in training; each head's counts with its weight."""
    if isinstance(outputs, torch.Tensor):
        return classification_loss(outputs, targets, recipe.loss, recipe.label_smoothing)
    total = training_loss(outputs.logits, targets, recipe)
    for logits in outputs.auxiliary:
        total = total + outputs.weight * training_loss(logits, targets, recipe)
    return total


def check_loss(kind: str, network: nn.Module, name: str) -> None:
    """Raise InputError where a loss cannot train a network: `sse` wants outputs that reach 1."""
    if kind == "sse" and any(isinstance(module, RBF) for module in network.modules()):
        raise InputError(
            f"{name} answers with distances to codes, which the loss sse would drive to a target of"
            " 0 and 1; use cross_entropy, or another network"
        )
