"""What a run folder gets while training goes on: weights, figures, and how fast it was."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import nn

from edgecnn.training.run import Run, read_run, write_run
from edgecnn.training.weights import save_tensors
from edgecnn_runtime.bundle import atomic_write

JUDGED = ("val_loss", "top1", "top5")
COLUMNS = ("epoch", "step", "train_loss", *JUDGED)


class Keep(Checkpoint):
    """After each epoch, the last weights and a line of figures; after the best one so far, its
    weights too. The first process writes; the figures are those of all.
    """

    def __init__(self, run: Run, out: Path) -> None:
        self.run, self.out = run, out
        self.best: dict[str, float] = {}
        self.lines: list[dict[str, float]] = []
        self.loss: torch.Tensor | None = None  # summed over the images of the epoch
        self.seen = 0  # images of the epoch, of this process
        self.images, self.seconds, self.began = 0, 0.0, 0.0

    @property
    def images_per_second(self) -> float:
        """Of all processes together, with the epochs' ends, without what came before the first
        step.
        """
        return self.images / self.seconds if self.seconds else 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "lines": self.lines}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.lines = state_dict["best"], state_dict["lines"]

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """In all processes: the mean of their losses is what each goes on with."""
        if self.loss is not None:
            loss = trainer.strategy.reduce(self.loss.clone(), reduce_op="mean")
            checkpoint["train_loss"] = {"sum": loss, "images": self.seen}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if before := checkpoint.get("train_loss"):
            self.loss, self.seen = before["sum"].to(pl_module.device), before["images"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        count = len(batch[1])
        loss = outputs["loss"].float() * count
        self.loss = loss if self.loss is None else self.loss.to(loss.device) + loss
        self.seen += count
        self.images += count * trainer.world_size

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self.loss is not None
        loss = trainer.strategy.reduce(self.loss / self.seen, reduce_op="mean")
        self.loss, self.seen = None, 0
        pl_module.log("train_loss", loss, prog_bar=True)
        figures = {name: float(trainer.callback_metrics[name]) for name in JUDGED}
        at = {"epoch": trainer.current_epoch, "step": trainer.global_step - 1}
        self.lines.append({**at, **figures, "train_loss": float(loss)})
        self.seconds = time.perf_counter() - self.began
        if trainer.is_global_zero:
            atomic_write(self.out / "metrics.csv", _table(self.lines))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        figures = {name: float(trainer.callback_metrics[name]) for name in JUDGED}
        epoch = trainer.current_epoch + 1
        network = pl_module.judged
        assert isinstance(network, nn.Module)
        better = (figures["top1"], -figures["val_loss"])
        best = not self.best or better > (self.best["top1"], -self.best["val_loss"])
        if best:
            self.best = {**figures, "epoch": epoch}
        if not trainer.is_global_zero:
            return
        self._save("last", network, epoch, figures)
        if best:
            self._save("best", network, epoch, figures)
            before = read_run(self.out)
            metrics = {"top1": figures["top1"], "top5": figures["top5"], "epoch": epoch}
            write_run(self.out, msgspec.structs.replace(before, metrics=metrics))

    def _save(self, name: str, network: nn.Module, epoch: int, figures: dict[str, float]) -> None:
        save_tensors(self.out / f"{name}.safetensors", network.state_dict())
        text = msgspec.json.encode({"epoch": epoch, **figures, "model": self.run.model})
        atomic_write(self.out / f"{name}.json", msgspec.json.format(text, indent=2) + b"\n")


def _table(lines: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()
