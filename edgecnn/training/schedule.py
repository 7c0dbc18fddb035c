"""The rate at each step, as the papers let it fall."""

from __future__ import annotations

import math
from functools import partial

import torch

from edgecnn.training.recipe import Recipe

Schedule = torch.optim.lr_scheduler.LRScheduler


def make_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Schedule | None:
    """What moves the rate after each step; None where it does not move.

    Args:
        steps: of the recipe's own epochs; those of a frozen network come before, at the peak rate.
    """
    frozen = steps // recipe.epochs * recipe.transfer.freeze_epochs
    if recipe.schedule == "onecycle" and not frozen:
        # Momentum stays: cycling it is a second schedule that no paper of the zoo has.
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            [group["lr"] for group in optimizer.param_groups],
            total_steps=steps,
            cycle_momentum=False,
        )
    if recipe.schedule == "constant" and not recipe.warmup_epochs:
        return None
    return torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_thawed, recipe, steps, frozen))


def _thawed(recipe: Recipe, steps: int, frozen: int, step: int) -> float:
    return 1.0 if step < frozen else rate(recipe, steps, step - frozen)


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
    if recipe.schedule == "onecycle":
        return _one_cycle(steps, step)
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * gone))
    if recipe.schedule == "poly":
        return float((1 - gone) ** recipe.power)
    if recipe.schedule == "exp":
        return float(recipe.decay ** (step // (an_epoch * recipe.decay_epochs)))
    passed = [share for where, share in recipe.milestones if step >= where * steps]
    return passed[-1] if passed else 1.0


def _one_cycle(steps: int, step: int) -> float:
    """PyTorch's OneCycleLR: half a cosine up for 0.3 of the run, from 1/25; another one down, to
    1/250,000.
    """
    top, last = 0.3 * steps - 1, steps - 1
    if step <= top:
        return _along(1 / 25, 1.0, step / top)
    return _along(1.0, 1 / 25e4, min(1.0, (step - top) / (last - top)))


def _along(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
