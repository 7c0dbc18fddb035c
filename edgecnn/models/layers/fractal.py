"""Fractal blocks with drop-path (Larsson et al., 2017), https://arxiv.org/abs/1605.07648."""

from __future__ import annotations

import torch
from torch import nn

from edgecnn.models.layers.convolution import ConvBN


class Join(nn.Module):
    """The mean of several maps of one shape; in training, each is dropped with `drop_path`.

    Of maps that are all dropped one is kept, so that something always passes.

    Shape: a list of (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, drop_path: float = 0.15) -> None:
        super().__init__()
        self.drop_path = drop_path

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        if self.training:
            kept = torch.rand(len(maps)) >= self.drop_path
            kept[int(torch.randint(len(maps), ()))] |= not kept.any()
            maps = [x for x, keep in zip(maps, kept.tolist(), strict=True) if keep]
        total = maps[0]
        for x in maps[1:]:
            total = total + x
        return total / len(maps)


class Fractal(nn.Module):
    """f1 is a convolution with batch norm and ReLU; fC joins one with two fC-1 in a row.

    All columns that end at the same place meet in one join.

    Args:
        columns: C; the block is 2^(C-1) convolutions deep and has 2^C - 1 of them.
        dropout: of single values, after each convolution.
        drop_path: of whole columns, at each join.

    Attributes:
        column: in training, the only column that runs (1 is the deepest), or None for all: the
            paper's global drop-path, which one draw decides for a whole network.

    Shape: (N, in, H, W) -> (N, out, H, W).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        columns: int,
        dropout: float = 0.0,
        drop_path: float = 0.15,
    ) -> None:
        super().__init__()
        self.columns, self.column = columns, None
        self.single = nn.Sequential(ConvBN(inputs, outputs), nn.Dropout(dropout))
        if columns > 1:
            self.first = Fractal(inputs, outputs, columns - 1, dropout, drop_path)
            self.second = Fractal(outputs, outputs, columns - 1, dropout, drop_path)
            self.join = Join(drop_path)

    column: int | None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor
        if self.columns == 1 or (self.training and self.column == self.columns):
            out = self.single(x)
        elif self.training and self.column is not None:
            out = self.second(self.first(x))
        else:
            out = self.join(self.ends(x))
        return out

    def ends(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What the columns give before they are joined, the shallowest first."""
        if self.columns == 1:
            return [self.single(x)]
        return [self.single(x), *self.second.ends(self.first(x))]
