"""Which pixels of the input a unit of a map can see."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from edgecnn.models.receptive_field import Seen, fields
from edgecnn.visualization.reverse_correlation import Box


@dataclass(frozen=True)
class Fields:
    """The calculated receptive fields of all layers for one size of input."""

    rows: dict[str, Seen]
    columns: dict[str, Seen]
    size: tuple[int, int]

    @classmethod
    def of(cls, network: nn.Module, height: int, width: int) -> Fields:
        columns = fields(network, width)
        rows = columns if height == width else fields(network, height)
        return cls(rows, columns, (height, width))

    def box(self, layer: str, row: int, column: int) -> Box:
        """Top, left, bottom, right, the last two outside; all where it is not known.

        It is cut at the edges, and the gates of squeeze-and-excitation are left out.
        """
        if layer not in self.rows or layer not in self.columns:
            return 0, 0, *self.size
        top, bottom = _span(self.rows[layer], row, self.size[0])
        left, right = _span(self.columns[layer], column, self.size[1])
        return top, left, bottom, right

    def seen(self, layer: str) -> str:
        """What the unit in the middle sees: `27x27 pixels`."""
        if layer not in self.rows or layer not in self.columns:
            return "the whole image"
        row, column = (s[layer].first.shape[-1] // 2 for s in (self.rows, self.columns))
        top, left, bottom, right = self.box(layer, row, column)
        size = (bottom - top, right - left)
        return "the whole image" if size == self.size else f"{size[0]}x{size[1]} pixels"


def _span(seen: Seen, place: int, length: int) -> tuple[int, int]:
    first, last = float(seen.first[..., place]), float(seen.last[..., place])
    if not first <= last:  # a unit that sees zeros around the image alone
        return 0, length
    return int(max(first, 0)), int(min(last, length - 1)) + 1
