"""How many images each class has, and what to beware of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgecnn.data.splits import DataSet

UNEVEN = 10  # times as many images of one class as of another
FEW = 30  # held-out images of all classes: each is more than three points of top-1


class Count(NamedTuple):
    """Images of a class."""

    label: str
    train: int
    val: int


def class_counts(data: DataSet) -> list[Count]:
    """The images of each class, in the order of the labels."""
    train, val = (
        np.bincount(split.targets, minlength=len(data.labels)) for split in (data.train, data.val)
    )
    return [Count(*row) for row in zip(data.labels, train.tolist(), val.tolist(), strict=True)]


def warnings_of(counts: list[Count]) -> list[str]:
    """What makes the figures of a training worth less than they look, a sentence for each."""
    said = []
    fewest, most = min(counts, key=lambda c: c.train), max(counts, key=lambda c: c.train)
    if most.train >= UNEVEN * max(1, fewest.train):
        said.append(
            f"{most.label!r} has {most.train} images to train and {fewest.label!r}"
            f" {fewest.train}: top-1 will say little about the rare classes, so read recall too"
        )
    unseen = [c.label for c in counts if not c.train]
    if unseen:
        said.append(f"no image to train of {_some(unseen)}: it can never be answered rightly")
    untested = [c.label for c in counts if not c.val]
    if untested:
        said.append(f"no held-out image of {_some(untested)}: nothing measures it")
    held = sum(c.val for c in counts)
    if held < FEW:
        said.append(f"{held} held-out images: each is {100 / max(1, held):.0f} points of top-1")
    return said


def _some(labels: list[str]) -> str:
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return ", ".join(repr(label) for label in labels[:3]) + more
