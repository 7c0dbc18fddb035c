"""Train: data and recipe in, run folder out."""

from __future__ import annotations

import errno
import logging
import math
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from edgecnn.data import DataSet
from edgecnn.models.cost import parameters
from edgecnn.training.checkpoint import SafetensorsIO
from edgecnn.training.initial import initialise
from edgecnn.training.inputs import EpochSampler
from edgecnn.training.keeping import Keep
from edgecnn.training.loading import loaders
from edgecnn.training.loss import check_loss
from edgecnn.training.module import Classification
from edgecnn.training.processes import Processes
from edgecnn.training.recipe import Recipe, as_toml
from edgecnn.training.resuming import GO_ON, Resumable, stopped
from edgecnn.training.run import Run, is_run, read_run, write_run
from edgecnn.training.share import Share
from edgecnn.training.start import set_dropout, start
from edgecnn.training.teacher import load_teacher
from edgecnn_runtime.bundle import atomic_write
from edgecnn_runtime.errors import InputError, InterruptedRunError, SourceError

RESUME = "resume.ckpt"
RESTS = ("fractalnet",)  # networks that leave out paths at random: these have no gradient then


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
    checkpoint_steps: int | None = None,
    processes: Processes | None = None,
) -> Trained:
    """Train a network, or go on with a run that was interrupted.

    With several `processes` this function runs in each of them; Lightning runs the program that
    called it once more for each device. The first process writes the run folder.

    Args:
        run: what to train, without metrics.
        data: the data set that `run.data` names.
        out: the run folder to make, or to go on with.
        resume: go on from the last checkpoint of `out`.
        progress: draw a bar on standard error where that is a terminal.
        watchers: Lightning callbacks that look on, such as `Snapshots`.
        checkpoint_steps: steps between two checkpoints, beside the one after each epoch.
        processes: how many train together, and on what.

    Raises:
        InputError: `out` holds something already, or nothing to resume, or another run; a loss
            that the network cannot train with; devices that are not there; a full disk.
        InterruptedRunError: on SIGINT and SIGTERM; the run can be resumed.
    """
    processes = processes or Processes()
    processes.check(run.recipe.batch_size)
    torch.manual_seed(run.seed)
    network = run.network().to(memory_format=torch.channels_last)
    start(network, run.recipe)
    set_dropout(network, run.recipe.dropout)
    if run.init and not resume:
        initialise(network, run.model, run.init, run.width)
    check_loss(run.recipe.loss, network, run.model)
    share = Share(processes.rank, processes.world)
    train, val = loaders(run, data, share, gpu=processes.gpu, beside=processes.devices)
    if processes.first:
        _prepare(run, out, resume)
        atomic_write(out / "split.json", msgspec.json.encode(data.record))
    steps = len(train) * run.recipe.epochs
    module = Classification(network, run, steps, load_teacher(run))
    keep = Keep(run, out)
    assert isinstance(train.sampler, EpochSampler)
    checkpoints = Resumable(out / RESUME, checkpoint_steps, train.sampler)
    started = time.perf_counter()
    with warnings.catch_warnings():
        quiet()
        trainer = _trainer(run, out, [keep, *watchers, checkpoints], progress, processes)
        with _ends(out, checkpoints, processes):
            trainer.fit(module, train, val, ckpt_path=str(out / RESUME) if resume else None)
    seconds = time.perf_counter() - started
    return Trained(
        run=str(out),
        model=run.model,
        parameters=parameters(network),
        top1=keep.best["top1"],
        top5=keep.best["top5"],
        seconds=round(seconds, 3),
        images_per_second=round(keep.images_per_second, 1),
    )


@contextmanager
def _ends(out: Path, checkpoints: Resumable, processes: Processes) -> Iterator[None]:
    """Say in one line why training ended early, and how it goes on."""

    def goes_on() -> str:
        return GO_ON if (out / RESUME).is_file() else "there is no checkpoint yet: train anew"

    try:
        yield
    except InterruptedRunError:
        if not processes.first:  # the first one says it
            raise SystemExit(0) from None
        raise
    except SourceError as error:  # a worker passes it on with its whole traceback
        last = str(error).strip().splitlines()[-1]
        raise SourceError(last.partition("SourceError: ")[2] or last) from None
    except SystemExit:  # Lightning ends the process when it is interrupted
        raise stopped(f"interrupted; {goes_on()}") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{out}: {error.strerror}; free some space; {goes_on()}") from None
    except RuntimeError:  # a loader whose workers got the signal too
        if checkpoints.asked is None:
            raise
        raise stopped(f"interrupted; {goes_on()}", checkpoints.asked) from None


def _prepare(run: Run, out: Path, resume: bool) -> None:
    if resume:
        before = read_run(out)
        if not (out / RESUME).is_file():
            raise InputError(
                f"{out} has no {RESUME}: it ended before its first checkpoint; train anew"
            )
        fields = (
            "model",
            "width",
            "input",
            "labels",
            "data",
            "seed",
            "recipe",
            "init",
            "teacher",
            "cache",
        )
        other = [f for f in fields if getattr(before, f) != getattr(run, f)]
        if other:
            raise InputError(f"{out} is a run with another {other[0]}; expected the same to resume")
        for name in (RESUME, "best.safetensors", "last.safetensors"):
            for part in out.glob(f".{name}.*"):  # of a file that was being written when it died
                part.unlink()
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
    run: Run, out: Path, callbacks: Sequence[Callback], progress: bool, processes: Processes
) -> Trainer:
    bar = progress and shows_bar()
    rests = run.model in RESTS or run.recipe.transfer.freeze_epochs > 0
    settings = processes.trainer_settings(rests=rests)
    return Trainer(
        **{**settings, "plugins": [SafetensorsIO(), *settings["plugins"]]},
        max_epochs=run.recipe.all_epochs,
        precision=precision(run.recipe, processes),
        gradient_clip_val=run.recipe.clip_gradient,
        logger=TensorBoardLogger(out, name="", version="", sub_dir="tensorboard"),
        callbacks=[*callbacks, *([TQDMProgressBar(leave=False)] if bar else [])],
        enable_progress_bar=bar,
        enable_model_summary=False,
        log_every_n_steps=max(1, math.ceil(len(run.labels))),
        num_sanity_val_steps=0,
        # Kernels on the CPU are deterministic at one thread count; to ask for it makes them 3 to 5
        # times slower (depthwise convolutions leave their fast path).
        deterministic=False,
    )


def precision(recipe: Recipe, processes: Processes | None = None) -> Any:
    """Lightning's name for what the network computes in: FP32 wherever there is no GPU."""
    if not recipe.amp or not (processes or Processes()).gpu:
        return "32-true"
    return "bf16-mixed" if torch.cuda.get_device_capability() >= (8, 0) else "16-mixed"


def shows_bar() -> bool:
    return sys.stderr.isatty()


def quiet() -> None:
    """Lightning's advice is for people who write loops; ours are written."""
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
