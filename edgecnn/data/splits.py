"""What every data set is: labels, a split to train on and one that is held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

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
        broken: what was left out, a message for each file.
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
    broken: tuple[str, ...] = ()


def some_frames(split: Split, count: int | None = None) -> Iterator[Frame]:
    """The frames of a split in order; with `count`, that many spread over it evenly."""
    return (split.frame(i) for i in _spread(len(split), count))


class ReadFrames(Sequence[Frame]):
    """Frames of a split, spread over it evenly, each read when it is looked at, and others.

    A few hundred photographs as cameras take them would fill the memory of a device.

    Args:
        more: frames that come after these.
    """

    def __init__(self, split: Split, count: int, more: Sequence[Frame] = ()) -> None:
        self.split, self.more = split, more
        self.chosen = list(_spread(len(split), count))

    def __len__(self) -> int:
        return len(self.chosen) + len(self.more)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        if place < len(self.chosen):
            return self.split.frame(self.chosen[place])
        return self.more[place - len(self.chosen)]


def _spread(total: int, count: int | None) -> Iterator[int]:
    if count is None or count >= total:
        return iter(range(total))
    return (i * total // count for i in range(count))
