"""Random numbers for the images of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from edgecnn.training.share import Share


@dataclass(frozen=True)
class Draws:
    """Numbers for each image of a batch, the same whether one process or several draw them.

    Each process draws for the whole batch and keeps what its own images get.

    Args:
        generator: on the CPU; in the same state in all processes.
        count: images of this process.
    """

    generator: torch.Generator
    count: int
    share: Share

    def uniform(self, *shape: int) -> torch.Tensor:
        """(count, *shape), from 0 to 1."""
        return self._mine(torch.rand((self._all, *shape), generator=self.generator))

    def normal(self, *shape: int) -> torch.Tensor:
        """(count, *shape), of mean 0 and variance 1."""
        return self._mine(torch.randn((self._all, *shape), generator=self.generator))

    def integers(self, end: int) -> torch.Tensor:
        """(count,), from 0 to end - 1."""
        return self._mine(torch.randint(0, end, (self._all,), generator=self.generator))

    @property
    def _all(self) -> int:
        return self.count * self.share.world

    def _mine(self, drawn: torch.Tensor) -> torch.Tensor:
        return drawn[self.count * self.share.rank :][: self.count]
