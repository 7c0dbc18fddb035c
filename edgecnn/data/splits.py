"""What every data set is: labels, a split to train on and one that is held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


class Split(Protocol):
    """Labelled frames, each as a camera would give it: uint8 (H, W, 3) BGR, any size."""

    @property
    def targets(self) -> NDArray[np.int64]: ...  # (N,), the class of each frame

    def __len__(self) -> int: ...

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        """One frame; with `rng`, a split that makes fresh crops takes a random one."""
        ...


@dataclass(frozen=True)
class DataSet:
    """Two splits of the same classes.

    Attributes:
        name: what a person named it by: `terrain`, or the path of a folder.
        content: the share of the network's input that the picture fills; the rest is border
            (LeNet's digits fill 28 of 32 pixels).
        shorter: the shorter side to scale to before the crop, as a multiple of the resolution.
        grey: whether the pictures have no colour, so that a grey network loses nothing.
        normalisation: mean and std on the scale 0 to 1 for a grey network.
        recipe: the training recipe that suits it.
        in_memory: whether a frame costs next to nothing, so that no worker processes are needed.
        record: what the run folder keeps so that the same split can be made again.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    val: Split
    recipe: str
    record: dict[str, Any]
    content: float = 1.0
    shorter: float = 1.0
    grey: bool = False
    normalisation: tuple[float, float] = (0.449, 0.226)
    in_memory: bool = False


def some_frames(split: Split, count: int | None = None) -> Iterator[Frame]:
    """The frames of a split in order; with `count`, that many spread over it evenly."""
    total = len(split)
    chosen = range(total) if count is None or count >= total else np.arange(count) * total // count
    return (split.frame(int(i)) for i in chosen)
