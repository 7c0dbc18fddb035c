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
    """A fresh permutation for each epoch, keyed by seed and epoch; yields (epoch, index)."""

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        return ((self.epoch, int(i)) for i in order)
