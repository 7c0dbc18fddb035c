"""Tiles side by side: from numbers to colours, and from colours to a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float32]
Colours = NDArray[np.float32]  # (..., 3), 0 to 1

LEAST = 48  # pixels of a tile's side: smaller ones are enlarged, each pixel a square
EDGE, TITLE = 0.12, 0.24  # inches: around a figure; a line of words above a strip or a tile
WORDS = 8.5  # points


def signed(values: Values, limit: float | None = None) -> Colours:
    """Values around 0 as colours around mid-grey: -limit is black and limit is white.

    Args:
        values: (N, C, H, W): of three channels as red, green and blue, of one as grey.
        limit: the largest size of all values by default, so that tiles compare.

    Returns:
        (N, H, W, 3).
    """
    limit = limit or float(np.abs(values).max()) or 1.0
    shares = np.clip(0.5 + values / (2 * limit), 0, 1).transpose(0, 2, 3, 1)
    return np.repeat(shares, 3, axis=3) if shares.shape[3] == 1 else shares


def heat(values: Values, limit: float | None = None, colors: str = "magma") -> Colours:
    """Values from 0 to `limit`, the largest one by default, as colours: (...) -> (..., 3)."""
    from matplotlib import colormaps

    limit = limit or float(values.max()) or 1.0
    found: Colours = colormaps[colors](np.clip(values / limit, 0, 1))[..., :3].astype(np.float32)
    return found


def around_zero(values: Values) -> Colours:
    """A layer's values as colours: from 0 up where none is negative, else blue and red about 0."""
    from matplotlib import colormaps

    if values.min() >= 0:
        return heat(values)
    limit = float(np.abs(values).max()) or 1.0
    found: Colours = colormaps["RdBu_r"](0.5 + values / (2 * limit))[..., :3].astype(np.float32)
    return found


def as_colours(images: NDArray[np.uint8]) -> Colours:
    """Pictures, uint8 (..., 3) or (..., 1), as 0 to 1: (..., 3)."""
    shares = images.astype(np.float32) / np.float32(255)
    return np.repeat(shares, 3, axis=-1) if shares.shape[-1] == 1 else shares


def mosaic(tiles: Sequence[Colours], columns: int, least: int = LEAST) -> Colours:
    """Tiles of one size in rows, with transparent gaps: (H, W, 4)."""
    height, width = tiles[0].shape[:2]
    times = max(1, -(-least // max(height, width)))
    height, width = height * times, width * times
    gap = max(2, round(0.06 * max(height, width)))
    rows = -(-len(tiles) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 4)
    canvas = np.zeros(shape, np.float32)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        large = tile.repeat(times, 0).repeat(times, 1)
        canvas[top : top + height, left : left + width, :3] = large
        canvas[top : top + height, left : left + width, 3] = 1
    return canvas


def side_by_side(*parts: Colours) -> Colours:
    """Mosaics of one height, a wider gap between: (H, W, 4)."""
    gap = np.zeros((parts[0].shape[0], max(4, parts[0].shape[1] // 24), 4), np.float32)
    joined = [piece for part in parts for piece in (part, gap)][:-1]
    return np.concatenate(joined, 1)


@dataclass(frozen=True)
class Strip:
    """An image (H, W, 4) under a line of words; `inches` wide."""

    title: str
    image: Colours
    inches: float


def stack(strips: Sequence[Strip], title: str) -> Figure:
    """One strip under the other, at their own scales."""
    from matplotlib.figure import Figure

    width = max(*(s.inches for s in strips), _breadth(title), 4.0) + 2 * EDGE
    heights = [s.inches * s.image.shape[0] / s.image.shape[1] for s in strips]
    height = EDGE + TITLE + sum(h + TITLE + EDGE for h in heights)
    figure = Figure(figsize=(width, height))
    y = EDGE + TITLE
    _title(figure, title)
    for strip, high in zip(strips, heights, strict=True):
        figure.text(
            EDGE / width, 1 - (y + 0.6 * TITLE) / height, strip.title, size=WORDS, va="center"
        )
        y += TITLE
        _picture(figure, strip.image, EDGE, y, strip.inches, high)
        y += high + EDGE
    return figure


@dataclass(frozen=True)
class Cell:
    """A picture (H, W, 3 or 4) under a line or two of words.

    Attributes:
        box: top, left, bottom, right in pixels of the picture, drawn as a frame.
    """

    title: str
    image: Colours
    box: tuple[int, int, int, int] | None = None


def grid(cells: Sequence[Cell], columns: int, title: str, side: float = 1.9) -> Figure:
    """Cells in rows, each `side` inches wide."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    lines = max(cell.title.count("\n") for cell in cells) + 1
    above = TITLE * (0.35 + 0.65 * lines)
    tall = max(c.image.shape[0] / c.image.shape[1] for c in cells) * side
    rows = -(-len(cells) // columns)
    width = max(columns * (side + EDGE) + EDGE, _breadth(title) + 2 * EDGE)
    height = EDGE + TITLE + rows * (above + tall + EDGE)
    figure = Figure(figsize=(width, height))
    _title(figure, title)
    for i, cell in enumerate(cells):
        x = EDGE + i % columns * (side + EDGE)
        y = EDGE + TITLE + i // columns * (above + tall + EDGE)
        figure.text(
            x / width, 1 - (y + above - 0.07) / height, cell.title, size=WORDS, va="baseline",
            linespacing=1.15,
        )  # fmt: skip
        high = side * cell.image.shape[0] / cell.image.shape[1]
        axes = _picture(figure, cell.image, x, y + above, side, high)
        if cell.box is not None:
            top, left, bottom, right = cell.box
            corner, size = (left - 0.5, top - 0.5), (right - left, bottom - top)
            axes.add_patch(
                Rectangle(corner, *size, fill=False, lw=1.3, ec="#39d353", clip_on=False)
            )
    return figure


def _title(figure: Figure, title: str) -> None:
    width, height = figure.get_size_inches()
    y = 1 - (EDGE + 0.4 * TITLE) / height
    figure.text(EDGE / width, y, title, size=WORDS + 1, weight="bold", va="center")


def _breadth(title: str) -> float:
    from edgecnn.visualization.pictures import breadth

    return breadth(title, WORDS + 1, "bold")


def _picture(figure: Figure, image: Colours, x: float, y: float, wide: float, high: float) -> Axes:
    """At these inches from the upper left corner."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((x / width, 1 - (y + high) / height, wide / width, high / height))
    axes.imshow(image, interpolation="antialiased", aspect="auto")
    axes.set_axis_off()
    return axes
