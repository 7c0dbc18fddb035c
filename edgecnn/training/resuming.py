"""What lets a run go on: a checkpoint after each epoch, every N steps, and when it is stopped."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from edgecnn.training.inputs import EpochSampler
from edgecnn_runtime.errors import InterruptedRunError

GO_ON = "the same command with --resume goes on"


class Resumable(Checkpoint):
    """Write the checkpoint, and begin where it ended.

    SIGINT and SIGTERM are answered after the step that runs: with a checkpoint and an
    InterruptedRunError, in all processes at the same step. Where the step is the last of an epoch,
    the held-out images are judged first. A second SIGINT does not wait, and the checkpoint is then
    the one before.

    Args:
        path: of the checkpoint; the old one is replaced once the new one is whole.
        every: steps between two checkpoints; None for one after each epoch.
        sampler: of the training images; it begins at the batch that comes next.
    """

    def __init__(self, path: Path, every: int | None, sampler: EpochSampler) -> None:
        self.path, self.every, self.sampler = path, every, sampler
        self.asked: int | None = None  # the signal

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.sampler.begin_at(checkpoint["global_step"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals from Lightning, which waits for the end of the epoch on SIGTERM; it
        gives them back to whose they were before.
        """
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._ask)
            signal.signal(signal.SIGINT, self._ask)

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        if self.asked is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signum

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == trainer.num_training_batches:
            return  # what is judged now belongs to the checkpoint too
        stops = self._stops(trainer)
        if stops or (self.every and trainer.global_step % self.every == 0):
            trainer.save_checkpoint(self.path)
        if stops:
            self._end(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.path)
        if self._stops(trainer) and trainer.current_epoch + 1 != trainer.max_epochs:
            self._end(trainer)

    def _stops(self, trainer: Trainer) -> bool:
        """Whether any process was asked to; the same in all of them."""
        stops: bool = trainer.strategy.reduce_boolean_decision(self.asked is not None, all=False)
        return stops

    def _end(self, trainer: Trainer) -> None:
        raise stopped(f"stopped after step {trainer.global_step}; {GO_ON}", self.asked)


def stopped(message: str, signum: int | None = None) -> InterruptedRunError:
    """The error of a run that a signal stopped, with the exit status that shells expect of it."""
    error = InterruptedRunError(message)
    error.exit_status = 128 + (signum or signal.SIGINT)
    return error
