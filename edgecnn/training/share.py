"""Whose images are whose, where several processes train one network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A process's part of each batch and of the held-out images.

    Attributes:
        rank: of the process, from 0.
        world: processes on all machines together.
    """

    rank: int = 0
    world: int = 1
