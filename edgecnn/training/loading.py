"""How training gets its images: the loaders, with settings chosen from the machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from edgecnn.data import DataSet, Split
from edgecnn.data.resized import ROOM, resized
from edgecnn.training.inputs import EpochSampler, TrainingSet, ValidationSet
from edgecnn.training.recipe import Augment
from edgecnn.training.run import Run
from edgecnn.training.share import Share
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.manifest import Input


@dataclass(frozen=True)
class Loading:
    """Settings of PyTorch's DataLoader."""

    num_workers: int
    persistent_workers: bool
    prefetch_factor: int | None  # batches that each worker keeps ready
    pin_memory: bool


def settings(available: int, *, gpu: bool, decodes: bool) -> Loading:
    """What suits a machine.

    Args:
        available: cores that this process may use.
        gpu: whether the network trains on one; the cores are then free for images.
        decodes: whether a frame costs something; else a worker would cost more than it saves.
    """
    workers = min(16 if gpu else 8, available) if decodes else 0
    return Loading(
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=(4 if gpu else 2) if workers else None,
        pin_memory=gpu,
    )


def loaders(
    run: Run, data: DataSet, share: Share | None = None, *, gpu: bool | None = None, beside: int = 1
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """The training images, shuffled and cropped afresh at each epoch, and the held-out ones.

    Args:
        share: whose part of the images.
        gpu: whether the network trains on one; by default where there is one.
        beside: processes on this machine, which share its cores.

    Raises:
        InputError: more processes than images.
    """
    share = share or Share()
    split = data.train if run.cache is None else _cached(run, data)
    training = TrainingSet(split, run.input, run.recipe.augment, run.seed)
    gpu = torch.cuda.is_available() if gpu is None else gpu
    available = max(1, cores() // beside)
    if (fewest := min(len(training), len(data.val))) < share.world:
        raise InputError(
            f"{share.world} processes, and {fewest} images to train or held out; expected at least"
            " as many: train with fewer --devices"
        )
    costly = run.recipe.augment.randaugment is not None  # worth a worker only beside a GPU
    train_with = settings(available, gpu=gpu, decodes=not data.in_memory or (gpu and costly))
    batch = min(run.recipe.batch_size, len(training) // share.world * share.world)
    sampler = EpochSampler(len(training), run.seed, batch, share)
    each = batch // share.world
    train: DataLoader[Any] = DataLoader(
        training,
        batch_size=each,
        sampler=sampler,
        drop_last=len(sampler) % each == 1,  # each of one image has no rest
        **asdict(train_with),
    )
    # Never from the cache: these are judged as the device sees them.
    val: DataLoader[Any] = DataLoader(
        ValidationSet(data.val, run.input),
        batch_size=256,
        sampler=range(share.rank, len(data.val), share.world),  # each judged once
        **asdict(settings(available, gpu=gpu, decodes=not data.in_memory)),
    )
    return train, val


def copy_side(split: Split, spec: Input, augment: Augment) -> int:
    """The shorter side in pixels of the copies that `--cache` makes: slightly more than the largest
    that training scales to. A small crop by area is scaled up from there, and is softer than it
    would be from the file.

    Raises:
        InputError: the split is not one of image files.
    """
    largest = max(spec.shorter_side or 0, min(spec.height, spec.width))
    if augment.shorter is not None:
        largest = max(largest, round(min(spec.height, spec.width) * augment.shorter[1]))
    side = round(ROOM * largest)
    return resized(split, side, spec.interpolation).side


def _cached(run: Run, data: DataSet) -> Any:
    assert run.cache is not None
    return resized(data.train, run.cache, run.input.interpolation)
