"""Train: data and recipe in, run folder out."""

from __future__ import annotations

import logging
import math
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn

from edgecnn.data import DataSet
from edgecnn.models.cost import parameters
from edgecnn.training.checkpoint import SafetensorsIO
from edgecnn.training.initial import initialise
from edgecnn.training.loading import loaders
from edgecnn.training.loss import check_loss
from edgecnn.training.module import Classification
from edgecnn.training.recipe import Recipe, as_toml
from edgecnn.training.run import Run, is_run, read_run, write_run
from edgecnn.training.start import set_dropout, start
from edgecnn.training.teacher import load_teacher
from edgecnn.training.weights import save_tensors
from edgecnn_runtime.bundle import atomic_write
from edgecnn_runtime.errors import InputError, InterruptedRunError, SourceError

RESUME = "resume.ckpt"


@dataclass(frozen=True)
class Trained:
    """What `edgecnn train` answers with; top1 and top5 are those of the best epoch."""

    run: str
    model: str
    parameters: int
    top1: float
    top5: float
    seconds: float
    images_per_second: float


def fit(
    run: Run,
    data: DataSet,
    out: Path,
    *,
    resume: bool = False,
    progress: bool = True,
    watchers: Sequence[Callback] = (),
) -> Trained:
    """Train a network, or go on with a run that was interrupted.

    Args:
        run: what to train, without metrics.
        data: the data set that `run.data` names.
        out: the run folder to make, or to go on with.
        resume: go on from the last whole epoch of `out`.
        progress: draw a bar on standard error where that is a terminal.
        watchers: Lightning callbacks that look on, such as `Snapshots`.

    Raises:
        InputError: `out` holds something already, or nothing to resume, or another run; a loss
            that the network cannot train with.
        InterruptedRunError: on SIGINT; the run can be resumed.
    """
    torch.manual_seed(run.seed)
    network = run.network().to(memory_format=torch.channels_last)
    start(network, run.recipe)
    set_dropout(network, run.recipe.dropout)
    if run.init and not resume:
        initialise(network, run.model, run.init, run.width)
    check_loss(run.recipe.loss, network, run.model)
    _prepare(run, out, resume)
    atomic_write(out / "split.json", msgspec.json.encode(data.record))
    train, val = loaders(run, data)
    steps = len(train) * run.recipe.epochs
    module = Classification(network, run, steps, load_teacher(run))
    keep = _Keep(run, out)
    started = time.perf_counter()
    with warnings.catch_warnings():
        quiet()
        trainer = _trainer(run, out, keep, progress, watchers)
        try:
            trainer.fit(module, train, val, ckpt_path=str(out / RESUME) if resume else None)
        except SourceError as error:  # a worker passes it on with its whole traceback
            last = str(error).strip().splitlines()[-1]
            raise SourceError(last.partition("SourceError: ")[2] or last) from None
        except SystemExit:  # Lightning ends the process when it is interrupted
            goes_on = "the same command with --resume goes on"
            todo = goes_on if (out / RESUME).is_file() else "its first epoch had not ended"
            raise InterruptedRunError(f"interrupted; {todo}") from None
    seconds = time.perf_counter() - started
    return Trained(
        run=str(out),
        model=run.model,
        parameters=parameters(network),
        top1=keep.best["top1"],
        top5=keep.best["top5"],
        seconds=round(seconds, 3),
        images_per_second=round(keep.images / seconds, 1),
    )


def _prepare(run: Run, out: Path, resume: bool) -> None:
    if resume:
        before = read_run(out)
        if not (out / RESUME).is_file():
            raise InputError(f"{out} has no {RESUME}: it ended before its first epoch; train anew")
        fields = ("model", "width", "input", "labels", "data", "seed", "recipe", "init", "teacher")
        other = [f for f in (*fields, "cache") if getattr(before, f) != getattr(run, f)]
        if other:
            raise InputError(f"{out} is a run with another {other[0]}; expected the same to resume")
        return
    if is_run(out):
        raise InputError(f"{out} holds a run; go on with --resume, replace it with --overwrite")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not a run; name another --out")
    write_run(out, msgspec.structs.replace(run, made=made()))
    atomic_write(out / "recipe.toml", as_toml(run.recipe).encode())


def replace_run(out: Path) -> None:
    """Remove an older run, and nothing that is not one."""
    if is_run(out):
        shutil.rmtree(out)


def made() -> dict[str, Any]:
    """What a run folder says of the machine and the versions that made it."""
    names = ("edgecnn", "torch", "torchvision", "lightning", "numpy")
    return {
        "command": " ".join(["edgecnn", *sys.argv[1:]]),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in names},
    }


def _trainer(
    run: Run, out: Path, keep: _Keep, progress: bool, watchers: Sequence[Callback]
) -> Trainer:
    bar = progress and shows_bar()
    resume = ModelCheckpoint(
        dirpath=out, filename="resume", save_last=False, save_top_k=1, enable_version_counter=False
    )
    callbacks: list[Callback] = [keep, *watchers, resume]
    if bar:
        callbacks.append(TQDMProgressBar(leave=False))
    return Trainer(
        max_epochs=run.recipe.all_epochs,
        accelerator="auto",
        devices=1,
        precision=precision(run.recipe),
        gradient_clip_val=run.recipe.clip_gradient,
        logger=[
            CSVLogger(out, name="", version="", flush_logs_every_n_steps=1000),
            TensorBoardLogger(out, name="", version="", sub_dir="tensorboard"),
        ],
        callbacks=callbacks,
        plugins=[SafetensorsIO()],
        enable_progress_bar=bar,
        enable_model_summary=False,
        log_every_n_steps=max(1, math.ceil(len(run.labels))),
        num_sanity_val_steps=0,
        # Kernels on the CPU are deterministic at one thread count; to ask for it makes them 3 to 5
        # times slower (depthwise convolutions leave their fast path).
        deterministic=False,
    )


def precision(recipe: Recipe) -> Any:
    """Lightning's name for what the network computes in: FP32 wherever there is no GPU."""
    if not recipe.amp or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "16-mixed"


def shows_bar() -> bool:
    return sys.stderr.isatty()


class _Keep(Callback):
    """After each epoch, the last weights; after the best one so far, these too."""

    def __init__(self, run: Run, out: Path) -> None:
        self.run, self.out, self.images = run, out, 0
        self.best: dict[str, float] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += len(batch[1])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        figures = {k: float(v) for k, v in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch + 1
        network = pl_module.judged
        assert isinstance(network, nn.Module)
        self._save("last", network, epoch, figures)
        better = (figures["top1"], -figures["val_loss"])
        if not self.best or better > (self.best["top1"], -self.best["val_loss"]):
            self.best = {**figures, "epoch": epoch}
            self._save("best", network, epoch, figures)
            before = read_run(self.out)
            metrics = {"top1": figures["top1"], "top5": figures["top5"], "epoch": epoch}
            write_run(self.out, msgspec.structs.replace(before, metrics=metrics))

    def _save(self, name: str, network: nn.Module, epoch: int, figures: dict[str, float]) -> None:
        save_tensors(self.out / f"{name}.safetensors", network.state_dict())
        text = msgspec.json.encode({"epoch": epoch, **figures, "model": self.run.model})
        atomic_write(self.out / f"{name}.json", msgspec.json.format(text, indent=2) + b"\n")


def quiet() -> None:
    """Lightning's advice is for people who write loops; ours are written."""
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
