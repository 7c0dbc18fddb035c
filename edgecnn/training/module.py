"""The Lightning module: loss, optimiser, schedule, and metrics on the held-out images."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from edgecnn.models.layers import AuxiliaryLogits
from edgecnn.training.augment import augment, mix
from edgecnn.training.averaging import averaged
from edgecnn.training.head import Backbone
from edgecnn.training.inputs import to_tensor
from edgecnn.training.loss import classification_loss, training_loss
from edgecnn.training.optimizer import clip_filters, make_optimizer
from edgecnn.training.recipe import Recipe
from edgecnn.training.run import Run
from edgecnn.training.schedule import make_schedule
from edgecnn.training.share import Share
from edgecnn.training.teacher import Teacher, distillation_loss

Batch = tuple[torch.Tensor, torch.Tensor]

APART = 1_000_000_007  # no run has so many steps: processes drop other activations


class Classification(LightningModule):
    """Train a classifier on preprocessed uint8 images.

    Args:
        network: float (N, C, H, W) -> logits (N, num_classes), or AuxiliaryLogits in training.
        run: its input, recipe, labels and seed.
        steps: optimiser steps of the recipe's own epochs, for the schedule.
        teacher: whose answers it learns too; never part of its state.
    """

    def __init__(
        self, network: nn.Module, run: Run, steps: int, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.network, self.spec, self.recipe = network, run.input, run.recipe
        self.steps, self.seed, self.classes = steps, run.seed, len(run.labels)
        self.backbone, self.teacher = Backbone(network), teacher
        self.average = averaged(network, run.recipe.ema) if run.recipe.ema else None
        self.top1 = MulticlassAccuracy(self.classes, average="micro")
        self.top5 = MulticlassAccuracy(self.classes, average="micro", top_k=min(5, self.classes))

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the moving average, where there is one."""
        return self.network if self.average is None else self.average.module

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        self._freeze_or_thaw()
        images, targets = batch
        # Keyed, not saved: a resumed run draws what an uninterrupted one would have drawn.
        share = Share(self.global_rank, self.trainer.world_size)
        torch.manual_seed(self.seed + self.global_step + APART * share.rank)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.global_step)
        settings = self.recipe.augment
        x = images.permute(0, 3, 1, 2).float()
        x = augment(x, settings, generator, self.spec.color, share)
        if settings.mixup or settings.cutmix:
            key = (self.seed, self.global_step)
            x, targets = mix(x, targets, self.classes, settings, key, share.rank)
        outputs = self.network(to_tensor(x.permute(0, 2, 3, 1), self.spec))
        loss = training_loss(outputs, targets, self.recipe)
        if self.teacher is not None:
            loss = self._taught(self.teacher, loss, outputs, x)
        return loss

    def on_validation_start(self) -> None:
        """Let all processes judge one network: the statistics of batch norm are the first one's,
        as they are in what is kept.
        """
        if self.trainer.world_size > 1:
            for buffer in self.judged.buffers():
                torch.distributed.broadcast(buffer, 0)

    def _freeze_or_thaw(self) -> None:
        """At each step, since a run that resumes within an epoch does not begin one."""
        if self.current_epoch < self.recipe.transfer.freeze_epochs:
            self.backbone.freeze()
        elif self.backbone.frozen:
            self.backbone.thaw()

    def _taught(
        self,
        teacher: Teacher,
        loss: torch.Tensor,
        outputs: torch.Tensor | AuxiliaryLogits,
        x: torch.Tensor,
    ) -> torch.Tensor:
        """The loss with the teacher's share; auxiliary heads learn from the labels alone."""
        logits = outputs if isinstance(outputs, torch.Tensor) else outputs.logits
        share = self.recipe.distill
        distance = distillation_loss(logits, teacher.logits(x, self.spec), share.temperature)
        return share.alpha * distance + (1 - share.alpha) * loss

    def validation_step(self, batch: Batch, _: int) -> None:
        images, targets = batch
        logits = self.judged(to_tensor(images, self.spec))
        self.top1(logits, targets)
        self.top5(logits, targets)
        loss = classification_loss(logits, targets, self.recipe.loss)
        self.log("val_loss", loss, batch_size=len(targets), sync_dist=True)
        self.log("top1", self.top1, prog_bar=True)
        self.log("top5", self.top5)

    def optimizer_step(self, *arguments: Any, **named: Any) -> None:
        super().optimizer_step(*arguments, **named)
        if self.recipe.max_filter_rms is not None and not self.backbone.frozen:
            clip_filters(self.network, self.recipe.max_filter_rms)
        if self.average is not None:
            self.average.update_parameters(self.network)

    def configure_optimizers(self) -> Any:
        return optimizers(self.network, self.recipe, self.steps)


def optimizers(network: nn.Module, recipe: Recipe, steps: int) -> Any:
    """A recipe's optimiser, and its schedule over so many steps, as Lightning takes them."""
    optimizer = make_optimizer(network, recipe)
    schedule = make_schedule(optimizer, recipe, steps)
    if schedule is None:
        return optimizer
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": schedule, "interval": "step"},
    }
