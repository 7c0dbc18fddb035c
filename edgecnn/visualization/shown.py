"""The pictures that a network is shown, as it takes them and as a person sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edgecnn.data import DataSet, colour_photographs
from edgecnn.evaluation.predict import batches, prepared
from edgecnn_runtime.camera.image import read_image
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]
PICTURES = 6  # that are shown, unless a person names his own


@dataclass(frozen=True)
class Shown:
    """Pictures for a network to look at.

    Attributes:
        frames: uint8 (H, W, 3) BGR, as a camera gives them.
        names: what they are, a line each.
    """

    frames: tuple[Frame, ...]
    names: tuple[str, ...]


def pixels(frames: tuple[Frame, ...], spec: Input) -> Frame:
    """What the network is shown, not normalised: uint8 (N, H, W, 3) in RGB, or 1 for grey."""
    shown = np.stack([preprocess(frame, spec) for frame in frames])
    return shown[..., ::-1] if spec.color == "bgr" else shown


def choose_pictures(files: tuple[Path, ...], data: DataSet | None, count: int = PICTURES) -> Shown:
    """The files that a person names; else held-out images; else four photographs.

    Of the held-out images one of each class in turn.
    """
    if files:
        return Shown(tuple(read_image(file) for file in files), tuple(file.name for file in files))
    if data is None:
        photographs = colour_photographs()
        return Shown(tuple(photographs.values()), tuple(photographs))
    indices = list(islice(_in_turn(data.val.targets), count))
    frames = tuple(data.val.frame(i) for i in indices)
    return Shown(frames, tuple(data.labels[data.val.targets[i]] for i in indices))


def _in_turn(targets: NDArray[np.int64]) -> Iterator[int]:
    """The first of each class, then the second of each class, and so on."""
    rank = np.zeros(len(targets), np.int64)
    for label in np.unique(targets):
        members = np.flatnonzero(targets == label)
        rank[members] = np.arange(len(members))
    yield from np.lexsort((targets, rank)).tolist()


def tensors(frames: Iterable[Frame], spec: Input) -> Iterator[torch.Tensor]:
    """What the network takes, in batches: float32 (N, C, H, W)."""
    return (prepared(batch, spec) for batch in batches(frames))
