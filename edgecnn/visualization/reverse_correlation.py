"""What a unit sees, measured: noise in, response out, as with a cell of which nothing is known.

Ringach (2002), Spatial structure and symmetry of simple-cell receptive fields; Luo et al. (2016),
Understanding the effective receptive field, https://arxiv.org/abs/1701.04128.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgecnn.visualization.maps import recorded

Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two are outside

SURE = (
    5.0  # standard errors; of 30,000 pixels that answer to nothing, one in 60 such fields has one
)
LUO = 1 - 0.9545  # of the largest value: from here on a pixel counts


@dataclass(frozen=True)
class Unit:
    """One unit of a network: a place in a map."""

    layer: str
    channel: int
    row: int
    column: int


@dataclass(frozen=True)
class Correlation:
    """Of one unit.

    Attributes:
        field: (C, H, W), the mean of stimulus times response: for a linear unit its kernel.
        errors: how many standard errors each value is away from 0.
    """

    field: torch.Tensor
    errors: torch.Tensor

    @property
    def box(self) -> Box | None:
        """What surely answers: at `SURE` standard errors; None where nothing does."""
        return box_of((self.errors.abs() > SURE).any(0))


def reverse_correlation(
    network: nn.Module,
    shape: tuple[int, int, int],
    units: Sequence[Unit],
    *,
    stimuli: int = 4096,
    seed: int = 0,
) -> list[Correlation]:
    """Show white noise of mean 0 and variance 1, and weigh it with each unit's response.

    Args:
        shape: (C, H, W) of what the network takes.
    """
    weighed = torch.zeros(len(units), *shape)
    shown, answers = torch.zeros(shape), []
    for x in noise(shape, stimuli, seed):
        r = responses(network, x, units)  # (N, units)
        weighed += torch.einsum("nu,nchw->uchw", r, x)
        shown += x.sum(0)
        answers.append(r)
    r = torch.cat(answers)
    fields = (weighed - r.mean(0)[:, None, None, None] * shown) / stimuli
    error = r.std(0).clamp(min=torch.finfo().tiny) / stimuli**0.5
    return [Correlation(f, f / e) for f, e in zip(fields, error, strict=True)]


def noise(
    shape: tuple[int, int, int], count: int, seed: int, batch: int = 64
) -> Iterator[torch.Tensor]:
    """Normally distributed stimuli, the same for the same seed: (N, C, H, W) each."""
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, batch):
        yield torch.randn(min(batch, count - start), *shape, generator=generator)


def responses(network: nn.Module, x: torch.Tensor, units: Sequence[Unit]) -> torch.Tensor:
    """(N, units)."""
    with recorded(network, [*{u.layer: None for u in units}]) as maps, torch.no_grad():
        network(x)
    return torch.stack([maps[u.layer][:, u.channel, u.row, u.column] for u in units], 1)


def mean_gradients(
    network: nn.Module, images: Iterable[torch.Tensor], unit: Unit
) -> tuple[torch.Tensor, torch.Tensor]:
    """The unit's gradient in the input, over images.

    Over the noise of `reverse_correlation` the first one is what it converges to (Stein's lemma);
    over photographs the second one is the effective receptive field.

    Returns:
        The mean gradient (C, H, W), and the mean of its size (H, W).
    """
    total, size, count = None, None, 0
    for batch in images:
        x = batch.detach().clone().requires_grad_()
        with torch.enable_grad(), recorded(network, [unit.layer]) as maps:
            network(x)
            response = maps[unit.layer][:, unit.channel, unit.row, unit.column].sum()
            (slope,) = torch.autograd.grad(response, x)
        count += len(x)
        total = slope.sum(0) if total is None else total + slope.sum(0)
        size = slope.abs().sum((0, 1)) if size is None else size + slope.abs().sum((0, 1))
    assert total is not None
    assert size is not None
    return total / count, size / count


def box_of(mask: torch.Tensor) -> Box | None:
    """The smallest box around what is true in (H, W); None where nothing is."""
    if not mask.any():
        return None
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def effective_size(field: torch.Tensor) -> float:
    """Side in pixels of a square with as many pixels as count in (H, W), as Luo et al. have it."""
    return math.sqrt(float((field > LUO * field.max()).sum()))
