"""A network as the volumes that it passes on: the well-known row of boxes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.visualization.pictures import breadth, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgecnn.models.volumes import Volume

KINDS = {  # of what gives a volume: its words and its colour
    "input": ("the image", "#c9c9c9"),
    "conv": ("convolution", "#4c78a8"),
    "block": ("block of several layers", "#b279a2"),
    "pool": ("pooling", "#f58518"),
    "linear": ("fully connected", "#54a24b"),
}
SCALE = (
    "Sides grow with the square root of height and width, thickness with the logarithm of the"
    " channels; thin bars are vectors. Layers: convolutions and linear ones."
)
TIMES = "\N{MULTIPLICATION SIGN}"

# All in inches: the axes have one unit for one inch.
TALLEST = 2.1  # side of the largest map
SLANT = (0.42, 0.24)  # where the width goes, of a side of 1
EDGE, NAMES = 0.2, 0.95  # the margin; where the boxes begin
GAP, NARROWEST, LEAST = 0.22, 0.5, 8.0
BAR, BAR_MOST = 0.62, 0.4  # of the shares: a row, and the bar of 100%
TITLE, SHAPE, WORDS, SMALL = 13.0, 9.0, 8.0, 7.5  # points
LINE = 0.145  # of words


@dataclass(frozen=True)
class _Box:
    """How one volume is drawn, and what is written at it.

    Attributes:
        largest: side of the largest map, which is drawn TALLEST.
    """

    volume: Volume
    largest: int

    @cached_property
    def sides(self) -> tuple[float, float]:
        """Height, and width before it is slanted."""
        if not self.volume.is_map:
            return 0.1 + 0.11 * math.log2(self.volume.shape[0]), 0.12
        high, wide = (TALLEST * math.sqrt(n / self.largest) for n in self.volume.shape[1:])
        return high, wide

    @property
    def slant(self) -> tuple[float, float]:
        return SLANT[0] * self.sides[1], SLANT[1] * self.sides[1]

    @property
    def thickness(self) -> float:
        return 0.05 * (1 + math.log2(self.volume.shape[0])) if self.volume.is_map else 0.09

    @property
    def extent(self) -> float:
        """From the left edge to the right one."""
        return self.thickness + self.slant[0]

    @property
    def shape(self) -> str:
        return "x".join(map(str, self.volume.shape))

    @cached_property
    def words(self) -> list[str]:
        """What gives the volume and how often, and how many layers were folded into it."""
        v = self.volume
        times = f"{v.repeats} {TIMES} " if v.repeats > 1 else ""
        parts = (times + v.what).split(", ")
        lines = [line for part in parts for line in textwrap.wrap(part, 13)]
        return [*lines, f"{v.layers} layers"] if v.layers > v.repeats else lines

    @cached_property
    def slot(self) -> float:
        """What the box and its words take from left to right."""
        words = (breadth(line, WORDS) for line in self.words)
        return max(NARROWEST, self.extent, breadth(self.shape, SHAPE, "bold"), *words)


def draw_volumes(volumes: Sequence[Volume], *, title: str) -> Figure:
    """Draw a network's volumes from left to right, with what gives each and what it costs.

    Args:
        volumes: of `edgecnn.models.volumes.volumes`, the input first.
        title: the first line.
    """
    from matplotlib.figure import Figure

    largest = max(max(v.shape[1:]) for v in volumes if v.is_map)
    boxes = [_Box(v, largest) for v in volumes]
    slots = sum(box.slot for box in boxes)
    lines = (2 * EDGE + breadth(SCALE, SMALL), 2 * EDGE + breadth(title, TITLE, "bold"))
    width = max(NAMES + slots + GAP * len(boxes) + EDGE / 2, *lines, LEAST)
    gap = (width - NAMES - EDGE / 2 - slots) / len(boxes)
    edge = TALLEST * (1 + SLANT[1]) / 2  # of the largest box, above and below 0
    words_at = -edge - 0.15
    shares_at = words_at - LINE * max(len(box.words) for box in boxes)
    top, bottom = edge + 1.15, shares_at - 2 * BAR - 0.42

    figure = Figure(figsize=(width, top - bottom))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(bottom, top))
    axes.set_axis_off()
    axes.text(EDGE, top - 0.28, title, size=TITLE, weight="bold", va="center")
    _legend(axes, {v.kind for v in volumes}, top - 0.6)
    axes.text(EDGE, bottom + 0.2, SCALE, size=SMALL, color="#666666", va="center")

    ends = accumulate(box.slot + gap for box in boxes)
    placed = [(b, NAMES + end - (b.slot + gap) / 2) for b, end in zip(boxes, ends, strict=True)]
    for box, middle in placed:
        _draw_box(axes, box, middle)
        _write(axes, box, middle, words_at)
    for (a, start), (b, end) in pairwise(placed):
        _arrow(axes, start + a.extent / 2, end - b.extent / 2)
    _shares(axes, "parameters", [v.parameters for v in volumes], placed, shares_at - BAR)
    _shares(axes, "MACs", [v.macs for v in volumes], placed, shares_at - 2 * BAR)
    return figure


def plot_volumes(volumes: Sequence[Volume], path: Path, *, title: str) -> None:
    """Draw a network's volumes and write the picture.

    Args:
        path: ends in .png or .svg.

    Raises:
        InputError: the picture cannot be written there.
    """
    save_picture(draw_volumes(volumes, title=title), path)


def _draw_box(axes: Axes, box: _Box, middle: float) -> None:
    """Front, top and the side that is turned to the right."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Polygon

    dx, dy = box.slant
    left, bottom = middle - box.extent / 2, -box.sides[0] / 2 - dy / 2
    right, top = left + box.thickness, bottom + box.sides[0]
    faces = {  # how much lighter than the colour
        0.0: [(left, bottom), (right, bottom), (right, top), (left, top)],
        0.45: [(left, top), (right, top), (right + dx, top + dy), (left + dx, top + dy)],
        0.25: [(right, bottom), (right, top), (right + dx, top + dy), (right + dx, bottom + dy)],
    }
    for lighter, corners in faces.items():
        shade = tuple(c + (1 - c) * lighter for c in to_rgb(KINDS[box.volume.kind][1]))
        axes.add_patch(Polygon(corners, facecolor=shade, edgecolor="#333333", linewidth=0.6))


def _arrow(axes: Axes, start: float, end: float) -> None:
    style = {"arrowstyle": "-|>", "color": "#888888", "linewidth": 0.8, "mutation_scale": 7}
    ends = {"shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (end - 0.02, 0), (start + 0.02, 0), arrowprops=style | ends)


def _write(axes: Axes, box: _Box, middle: float, y: float) -> None:
    above = (box.sides[0] + box.slant[1]) / 2 + 0.08
    axes.text(middle, above, box.shape, size=SHAPE, weight="bold", ha="center", va="bottom")
    for number, line in enumerate(box.words):
        color = "#777777" if line.endswith(" layers") else "#222222"
        axes.text(middle, y - LINE * number, line, size=WORDS, color=color, ha="center", va="top")


def _shares(
    axes: Axes, name: str, parts: list[int], placed: list[tuple[_Box, float]], y: float
) -> None:
    """A row of bars; a share that rounds to 0% is only a line."""
    from matplotlib.patches import Rectangle

    axes.text(EDGE, y, f"share of\n{name}", size=WORDS)
    for part, (box, middle) in zip(parts, placed, strict=True):
        line = [middle - box.slot / 2, middle + box.slot / 2]
        axes.plot(line, [y, y], color="#bbbbbb", lw=0.6)
        share = part / (sum(parts) or 1)
        if share < 0.005:
            continue
        axes.add_patch(Rectangle((middle - 0.15, y), 0.3, share * BAR_MOST, color="#9a9a9a", lw=0))
        above = y + share * BAR_MOST + 0.02
        axes.text(middle, above, f"{share:.0%}", size=SMALL, ha="center", va="bottom")


def _legend(axes: Axes, kinds: set[str], y: float) -> None:
    from matplotlib.patches import Rectangle

    given = "given by"
    axes.text(EDGE, y, given, size=WORDS, va="center")
    x = 2 * EDGE + breadth(given, WORDS)
    for words, color in (KINDS[k] for k in KINDS if k in kinds - {"input"}):
        box = Rectangle((x, y - 0.06), 0.14, 0.12, facecolor=color, edgecolor="#333333", lw=0.5)
        axes.add_patch(box)
        axes.text(x + 0.2, y, words, size=WORDS, va="center")
        x += 0.2 + breadth(words, WORDS) + 0.25
