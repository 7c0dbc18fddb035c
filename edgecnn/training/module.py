"""The Lightning module: loss, optimiser, schedule, and metrics on the held-out images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from lightning import LightningModule
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from edgecnn.training.augment import augment
from edgecnn.training.inputs import to_tensor
from edgecnn.training.loss import classification_loss, training_loss
from edgecnn.training.recipe import Recipe
from edgecnn.training.run import Run

Batch = tuple[torch.Tensor, torch.Tensor]


class Classification(LightningModule):
    """Train a classifier on preprocessed uint8 images.

    Args:
        network: float (N, C, H, W) -> logits (N, num_classes), or AuxiliaryLogits in training.
        run: its input, recipe, labels and seed.
        steps: optimiser steps of the whole run, for the schedule.
    """

    def __init__(self, network: nn.Module, run: Run, steps: int) -> None:
        super().__init__()
        self.network, self.spec, self.recipe = network, run.input, run.recipe
        self.steps, self.seed = steps, run.seed
        classes = len(run.labels)
        self.top1 = MulticlassAccuracy(classes, average="micro")
        self.top5 = MulticlassAccuracy(classes, average="micro", top_k=min(5, classes))

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        images, targets = batch
        # Keyed, not saved: a resumed run draws what an uninterrupted one would have drawn.
        torch.manual_seed(self.seed + self.global_step)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step)
        x = images.permute(0, 3, 1, 2).float()
        x = augment(x, self.recipe.augment, generator)
        outputs = self.network(to_tensor(x.permute(0, 2, 3, 1), self.spec))
        loss = training_loss(outputs, targets, self.recipe)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        images, targets = batch
        logits = self.network(to_tensor(images, self.spec))
        self.top1(logits, targets)
        self.top5(logits, targets)
        loss = classification_loss(logits, targets, self.recipe.loss)
        self.log("val_loss", loss, batch_size=len(targets))
        self.log("top1", self.top1, prog_bar=True)
        self.log("top5", self.top5)

    def configure_optimizers(self) -> Any:
        return optimizers(self.recipe, self.network.parameters(), self.steps)


def optimizers(recipe: Recipe, parameters: Iterable[nn.Parameter], steps: int) -> Any:
    """A recipe's optimiser, and its schedule over so many steps, as Lightning takes them."""
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            parameters,
            recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov and recipe.momentum > 0,
        )
    else:
        optimizer = torch.optim.AdamW(parameters, recipe.lr, weight_decay=recipe.weight_decay)
    if recipe.schedule == "constant":
        return optimizer
    # Momentum stays: cycling it is a second schedule that no paper of the zoo has.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.lr, total_steps=steps, cycle_momentum=False
    )
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }
