"""What figures are asked: whether their words can be read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.transforms import Bbox

Clashes = Callable[[Figure], list[tuple[str, str]]]


@pytest.fixture
def clashes() -> Clashes:
    """Which words lie on others or on a box, or leave the figure, by what a renderer measures."""

    def find(figure: Figure) -> list[tuple[str, str]]:
        figure.draw_without_rendering()
        (axes,) = figure.axes
        texts = [(t.get_text(), t.get_window_extent()) for t in axes.texts if t.get_text()]
        boxes = [("a box", p.get_window_extent()) for p in axes.patches if isinstance(p, Polygon)]
        pairs = [*combinations(texts, 2), *((t, b) for t in texts for b in boxes)]
        found = [(a[0], b[0]) for a, b in pairs if _overlap(a[1], b[1])]
        edge = figure.bbox
        outside = [t for t, b in texts if b.x0 < edge.x0 or b.x1 > edge.x1 or b.y0 < 0]
        return [*found, *((t, "the edge") for t in outside)]

    return find


def _overlap(a: Bbox, b: Bbox) -> bool:
    """By more than a pixel, which letters do not reach."""
    both = Bbox.intersection(a, b)
    return both is not None and both.width > 1 and both.height > 1
