"""Small colour photographs as a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.data import DataSet, colour_crops

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Frames:
    """Frames of any size, two classes in turn."""

    frames: list[Frame]

    @property
    def targets(self) -> NDArray[np.int64]:
        return np.arange(len(self.frames)) % 2

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        return self.frames[index]


@pytest.fixture(scope="session")
def colour_data() -> Callable[..., DataSet]:
    def make(train: int = 12, val: int = 8) -> DataSet:
        crops = colour_crops(train + val)
        return DataSet(
            name="crops",
            labels=("one", "other"),
            train=Frames(crops[:train]),
            val=Frames(crops[train:]),
            recipe="default",
            record={},
            in_memory=True,
        )

    return make
