"""The rate at each step, as the papers let it fall."""

from __future__ import annotations

import math
from functools import partial

import torch

from edgecnn.training.recipe import Recipe

Schedule = torch.optim.lr_scheduler.LRScheduler


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Schedule | None:
    """What moves the rate after each of `steps` steps; None where it does not move."""
    if recipe.schedule == "onecycle":
        # Momentum stays: cycling it is a second schedule that no paper of the zoo has.
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=steps, cycle_momentum=False
        )
    if recipe.schedule == "constant" and not recipe.warmup_epochs:
        return None
    return torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate, recipe, steps))


def rate(recipe: Recipe, steps: int, step: int) -> float:
    """The rate as a share of `recipe.lr`; depends on where the run is and on nothing else.

    The papers that divide the rate "when the validation error stops improving" have fixed shares of
    the run here: the held-out images decide nothing in training.

    Args:
        steps: of the whole run.
        step: counted from 0.
    """
    an_epoch = steps / recipe.epochs
    warmup = min(recipe.warmup_epochs * an_epoch, steps)
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    gone = min(1.0, (step - warmup) / max(1.0, steps - warmup))  # of what follows the warm-up
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * gone))
    if recipe.schedule == "poly":
        return float((1 - gone) ** recipe.power)
    if recipe.schedule == "exp":
        return float(recipe.decay ** (step // (an_epoch * recipe.decay_epochs)))
    passed = [share for where, share in recipe.milestones if step >= where * steps]
    return passed[-1] if passed else 1.0
