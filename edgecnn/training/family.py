"""Train a family of widths and resolutions as one supernet; every member is a run folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from edgecnn.data import DataSet
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import in_pytorch, predict_all
from edgecnn.models import build
from edgecnn.training.augment import augment
from edgecnn.training.checkpoint import SafetensorsIO
from edgecnn.training.fit import RESUME, made, precision, quiet, shows_bar
from edgecnn.training.inputs import EpochSampler, TrainingSet, to_tensor
from edgecnn.training.loss import check_loss
from edgecnn.training.run import RUN_FILE, Run, write_run
from edgecnn.training.start import set_dropout, start
from edgecnn.training.supernet import SandwichTraining, Supernet, batch_bounds, recalibrate
from edgecnn.training.weights import load_tensors, save_tensors
from edgecnn_runtime.bundle import atomic_write, staged_folder
from edgecnn_runtime.errors import InputError, InterruptedRunError
from edgecnn_runtime.latency.device import cores

WEIGHTS = "supernet.safetensors"
STATISTICS_IMAGES = 512  # of the training split, for the statistics of one member


def fit_family(
    members: Mapping[Path, Run],
    data: DataSet,
    work: Path,
    *,
    on_member: Callable[[Path, Run], object] = lambda folder, run: None,
) -> None:
    """Train all members as one network, and write each as a run folder of its own.

    Goes on where it stopped: from the last whole epoch, or with the members that are missing.

    Args:
        members: run folder -> what is in it; they differ in width and input alone.
        work: where the supernet lies.
        on_member: called with each run that was written, its metrics in it.

    Raises:
        InputError: the widths cannot share weights; a recipe that a supernet does not take.
        InterruptedRunError: on SIGINT.
    """
    missing = {folder: run for folder, run in members.items() if not (folder / RUN_FILE).is_file()}
    if not missing:
        return
    one = next(iter(members.values()))
    check_family(list(members.values()))
    supernet = _supernet(one, [run.width for run in members.values()])
    supernet.to(memory_format=torch.channels_last)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / WEIGHTS).is_file():
        _fit(supernet, {_size(run): run for run in members.values()}, data, work)
        save_tensors(work / WEIGHTS, supernet.widest.state_dict())
        (work / RESUME).unlink(missing_ok=True)
    supernet.widest.load_state_dict(load_tensors(work / WEIGHTS))
    for folder, run in missing.items():
        on_member(folder, _write_member(supernet, run, data, folder, supernet.widths))


def check_family(runs: Sequence[Run]) -> None:
    """Refuse what cannot be trained as one network, before anything is written.

    Raises:
        InputError: widths that cannot share weights, or a recipe that a supernet does not take.
    """
    recipe = runs[0].recipe
    settings = {
        "augment.mixup": recipe.augment.mixup,
        "augment.cutmix": recipe.augment.cutmix,
        "ema": recipe.ema,
        "max_filter_rms": recipe.max_filter_rms,
        "transfer.freeze_epochs": recipe.transfer.freeze_epochs,
    }
    if left_out := [name for name, value in settings.items() if value]:
        raise InputError(
            f"the recipe sets {', '.join(left_out)}, which a supernet does not train with; take a"
            " recipe without, or leave out --supernet"
        )
    with torch.device("meta"):
        _supernet(runs[0], [run.width for run in runs])


def _supernet(run: Run, widths: Sequence[float]) -> Supernet:
    def make(width: float) -> nn.Module:
        network = build(
            run.model,
            num_classes=len(run.labels),
            width=width,
            in_channels=run.input.channels,
        )
        set_dropout(network, run.recipe.dropout)
        return network

    torch.manual_seed(run.seed)
    supernet = Supernet(make, widths)
    start(supernet.widest, run.recipe)
    check_loss(run.recipe.loss, supernet.widest, run.model)
    return supernet


def _size(run: Run) -> tuple[int, int]:
    return run.input.height, run.input.width


def _fit(supernet: Supernet, runs: dict[tuple[int, int], Run], data: DataSet, work: Path) -> None:
    one = next(iter(runs.values()))
    loader = _loader(list(runs.values()), data)
    module = SandwichTraining(supernet, runs, len(loader) * one.recipe.epochs)
    bar = shows_bar()
    checkpoint = ModelCheckpoint(
        dirpath=work,
        filename=Path(RESUME).stem,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    resume = work / RESUME
    with warnings.catch_warnings():
        quiet()
        trainer = Trainer(
            max_epochs=one.recipe.epochs,
            accelerator="auto",
            devices=1,
            precision=precision(one.recipe),
            logger=False,
            callbacks=[checkpoint, *([TQDMProgressBar(leave=False)] if bar else [])],
            plugins=[SafetensorsIO()],
            enable_progress_bar=bar,
            enable_model_summary=False,
            deterministic=False,  # as in `fit`
        )
        try:
            trainer.fit(module, loader, ckpt_path=str(resume) if resume.is_file() else None)
        except SystemExit:  # Lightning ends the process when it is interrupted
            raise InterruptedRunError("interrupted; the same command goes on") from None


class _Sizes(Dataset[tuple[NDArray[np.uint8], int]]):
    """The training images at each resolution; a key is (resolution, epoch, index)."""

    def __init__(self, sets: Sequence[TrainingSet]) -> None:
        self.sets = sets

    def __len__(self) -> int:
        return len(self.sets[0])

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[NDArray[np.uint8], int]:
        return self.sets[key[0]][key[1:]]


class _Batches:
    """Batches of one resolution each, the resolutions in a fresh order again and again."""

    def __init__(self, sampler: EpochSampler, size: int, resolutions: int) -> None:
        self.sampler = sampler  # Lightning tells it the epoch
        self.resolutions = resolutions
        self.bounds = batch_bounds(len(sampler), size)

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        keys = list(self.sampler)
        rng = np.random.default_rng((self.sampler.seed, self.sampler.epoch, 1))
        order = np.concatenate(
            [rng.permutation(self.resolutions) for _ in range(0, len(self), self.resolutions)]
        )
        for resolution, (begin, end) in zip(order.tolist(), self.bounds, strict=False):
            yield [(resolution, *key) for key in keys[begin:end]]


def _loader(runs: Sequence[Run], data: DataSet) -> DataLoader[Any]:
    one = runs[0]
    sets = [TrainingSet(data.train, r.input, one.recipe.augment, one.seed) for r in runs]
    size = min(one.recipe.batch_size, len(data.train))
    workers = 0 if data.in_memory else min(8, cores())
    return DataLoader(
        _Sizes(sets),
        batch_sampler=_Batches(EpochSampler(len(data.train), one.seed), size, len(runs)),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def _write_member(
    supernet: Supernet, run: Run, data: DataSet, folder: Path, widths: Sequence[float]
) -> Run:
    """Cut a member out, count its statistics, judge it, write its run folder whole."""
    began = time.perf_counter()
    network = supernet.extract(run.width).to(memory_format=torch.channels_last)
    recalibrate(network, _statistics(run, data))
    answers = predict_all(in_pytorch(network, run.input), some_frames(data.val))
    targets = data.val.targets[:, None]
    best = np.argsort(-answers, axis=1, kind="stable")[:, : min(5, len(run.labels))]
    metrics = {
        "top1": float((best[:, :1] == targets).any(1).mean()),
        "top5": float((best == targets).any(1).mean()),
        "epoch": float(run.recipe.epochs),
    }
    seconds = round(time.perf_counter() - began, 3)
    how = {"supernet": {"widths": list(widths), "statistics_and_judging_s": seconds}}
    run = msgspec.structs.replace(run, metrics=metrics, made={**made(), **how})
    with staged_folder(folder, marker=RUN_FILE) as staging:
        save_tensors(staging / "best.safetensors", network.state_dict())
        text = msgspec.json.encode({**metrics, "model": run.model})
        atomic_write(staging / "best.json", msgspec.json.format(text, indent=2) + b"\n")
        atomic_write(staging / "split.json", msgspec.json.encode(data.record))
        write_run(staging, run)
    return run


def _statistics(run: Run, data: DataSet) -> Iterator[torch.Tensor]:
    """Training images as training distorts them, in an epoch that it has not seen."""
    images = TrainingSet(data.train, run.input, run.recipe.augment, run.seed)
    count = min(STATISTICS_IMAGES, len(images))
    order = np.random.default_rng((run.seed, 3)).permutation(len(images))[:count].tolist()
    generator = torch.Generator().manual_seed(run.seed)
    for begin, end in batch_bounds(count, run.recipe.batch_size):
        frames = [images[run.recipe.epochs, i][0] for i in order[begin:end]]
        x = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
        x = augment(x, run.recipe.augment, generator, run.input.color)
        yield to_tensor(x.permute(0, 2, 3, 1), run.input)
