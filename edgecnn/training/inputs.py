"""From frames to the tensors that a network trains on and is judged by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from edgecnn.data import DataSet, Split
from edgecnn.training.augment import crop_at_random, rand_augment
from edgecnn.training.recipe import Augment
from edgecnn.training.share import Share
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def input_for(data: DataSet, height: int, width: int, channels: int) -> Input:
    """The preprocessing contract of a network of this size on this data."""
    common: dict[str, Any] = {"height": height, "width": width, "channels": channels}
    if channels == 1:
        mean, std = data.normalisation
        common |= {"color": "gray", "mean": (mean,), "std": (std,)}
    else:
        common |= {"color": "rgb", "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    if data.content < 1:
        crop = (round(height * data.content), round(width * data.content))
        common |= {"resize": "pad", "crop": crop, "shorter_side": min(crop)}
    else:
        shorter = round(min(height, width) * data.shorter)
        common |= {"resize": "crop", "crop": (height, width), "shorter_side": shorter}
    return msgspec.convert(common, Input)


def to_tensor(images: torch.Tensor, spec: Input) -> torch.Tensor:
    """Normalise preprocessed images as training does.

    Args:
        images: uint8 or float on the scale 0 to 255, (N, H, W, C).

    Returns:
        float32 (N, C, H, W).
    """
    x = images.permute(0, 3, 1, 2).float() / 255  # stays channels-last in memory
    mean = torch.tensor(spec.mean, device=x.device)[:, None, None]
    std = torch.tensor(spec.std, device=x.device)[:, None, None]
    return (x - mean) / std


class ValidationSet(Dataset[tuple[NDArray[np.uint8], int]]):
    """The held-out frames through the device's own preprocessing."""

    def __init__(self, split: Split, spec: Input) -> None:
        self.split, self.spec = split, spec

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        return preprocess(self.split.frame(index), self.spec), int(self.split.targets[index])


class TrainingSet(Dataset[tuple[NDArray[np.uint8], int]]):
    """Frames with random crops, keyed by seed, epoch and index and by nothing else.

    So a resumed run sees the very images that an uninterrupted one would have seen.
    """

    def __init__(self, split: Split, spec: Input, augment: Augment, seed: int) -> None:
        self.split, self.spec, self.augment, self.seed = split, spec, augment, seed
        self.crops = augment.crops_by_area or augment.shorter is not None

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> tuple[NDArray[np.uint8], int]:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        frame, target = self.split.frame(index, rng), int(self.split.targets[index])
        if self.crops:
            image = crop_at_random(frame, self.spec, self.augment, rng)
        else:
            image = preprocess(frame, self.spec)
        if self.augment.randaugment is not None:
            image = rand_augment(image, *self.augment.randaugment, (self.seed, epoch, index))
        return image, target


class EpochSampler(Sampler[tuple[int, int]]):
    """A fresh permutation for each epoch, keyed by seed and epoch; yields (epoch, index).

    Several processes draw the same one and share each batch of it, so that a step sees the same
    images whatever their number. Of a last batch that they cannot share evenly, the images that are
    left over, fewer than there are processes, wait for another epoch.

    Args:
        length: images of the data set.
        batch: images of a step, of all processes together; a multiple of their number.
        share: whose images are yielded.
    """

    def __init__(self, length: int, seed: int, batch: int = 1, share: Share | None = None) -> None:
        self.length, self.seed, self.epoch = length, seed, 0
        self.batch, self.share = batch, share or Share()
        self.begins = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def begin_at(self, step: int) -> None:
        """Leave out what a run has seen in its first `step` steps: whole epochs, and the batches of
        the epoch that it is in, whose length stays what it is.
        """
        self.begins = divmod(step, self.steps)
        self.epoch = self.begins[0]  # Lightning asks for the images before it sets the epoch

    @property
    def steps(self) -> int:
        """Batches of an epoch. A last one of one image is left out: it would give batch norm
        nothing to average.
        """
        rest = self.length % self.batch // self.share.world
        return self.length // self.batch + (rest > 1)

    def __len__(self) -> int:
        whole = self.length // self.batch * (self.batch // self.share.world)
        return whole + self.length % self.batch // self.share.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        rank, world = self.share.rank, self.share.world
        each = self.batch // world
        whole = self.length // self.batch * self.batch
        rest = (self.length - whole) // world
        mine = order[:whole].reshape(-1, world, each)[:, rank].ravel()
        mine = np.concatenate([mine, order[whole + rank * rest :][:rest]])
        epoch, batches = self.begins
        seen = batches * each if self.epoch == epoch else 0
        return ((self.epoch, int(i)) for i in mine[seen:])
