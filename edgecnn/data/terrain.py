"""`terrain`: brick, grass and gravel, what a small robot would ask its camera.

Three photographs of 512x512 from scikit-image. Training crops come from the left of each
photograph and validation crops from a strip at its right, with a gap between: no pixel is in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.splits import DataSet

Frame = NDArray[np.uint8]

LABELS = ("brick", "grass", "gravel")
CROP = 96  # pixels of the photograph, whatever the network's resolution
TRAIN_COLUMNS = (0, 376)
VAL_COLUMNS = (384, 512)
TRAIN_CROPS = 300  # per class and epoch
VAL_CROPS = 100  # per class


@cache
def photographs() -> tuple[Frame, ...]:
    """The three photographs in the order of `LABELS`: uint8 (512, 512, 3), grey in BGR."""
    from skimage import data

    return tuple(np.repeat(getattr(data, name)()[:, :, None], 3, axis=2) for name in LABELS)


@dataclass(frozen=True)
class Crops:
    """Square crops of the photographs, the same at every reading unless a generator is given."""

    corners: NDArray[np.int64]  # (N, 2): top, left
    targets: NDArray[np.int64]
    columns: tuple[int, int]  # where crops may lie

    def __len__(self) -> int:
        return len(self.targets)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        top, left = self.corners[index] if rng is None else _corner(rng, self.columns)
        photo = photographs()[self.targets[index]]
        crop: Frame = photo[top : top + CROP, left : left + CROP]
        return crop


def _corner(rng: np.random.Generator, columns: tuple[int, int]) -> tuple[int, int]:
    top = int(rng.integers(0, 512 - CROP + 1))
    return top, int(rng.integers(columns[0], columns[1] - CROP + 1))


def _crops(per_class: int, columns: tuple[int, int], seed: int) -> Crops:
    rng = np.random.default_rng(seed)
    targets = np.repeat(np.arange(len(LABELS)), per_class)
    corners = np.array([_corner(rng, columns) for _ in targets])
    return Crops(corners, targets.astype(np.int64), columns)


def terrain(seed: int = 0) -> DataSet:
    """300 training crops a class, drawn afresh at every epoch, and 100 fixed validation crops."""
    val = _crops(VAL_CROPS, VAL_COLUMNS, seed + 1)
    return DataSet(
        name="terrain",
        labels=LABELS,
        train=_crops(TRAIN_CROPS, TRAIN_COLUMNS, seed),
        val=val,
        recipe="terrain",
        record={
            "photographs": [f"skimage.data.{name}" for name in LABELS],
            "crop": CROP,
            "train_columns": TRAIN_COLUMNS,
            "val_columns": VAL_COLUMNS,
            "val_crops": [
                {"label": LABELS[t], "top": int(y), "left": int(x)}
                for (y, x), t in zip(val.corners, val.targets, strict=True)
            ],
        },
        grey=True,
        in_memory=True,
    )


def pan(frames: int = 240) -> Iterator[tuple[Frame, str]]:
    """A camera that travels down the unseen strip of each photograph in turn.

    The view is 96 rows high, the height of a training crop, and 128 columns wide.

    Yields:
        (frame, label): uint8 (96, 128, 3) BGR.
    """
    each = frames // len(LABELS)
    for photo, label in zip(photographs(), LABELS, strict=True):
        strip = photo[:, slice(*VAL_COLUMNS)]
        for i in range(each):
            top = round(i / max(1, each - 1) * (512 - CROP))
            yield strip[top : top + CROP], label
