"""The networks over the years: how deep they are, and how large."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edgecnn.visualization.pictures import breadth, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Color = tuple[float, float, float, float]


class Network(Protocol):
    """What is drawn of a network."""

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def year(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def parameters(self) -> int: ...


# All in inches: the axes have one unit for one inch.
LINE, BETWEEN = 0.17, 0.06  # of a network; between families
YEAR, LEAP = 1.0, 1.2  # from one year to the next; over years without a network
LEFT, TOP, BELOW, EDGE = 1.7, 1.1, 0.6, 0.2
NARROWEST = 9.4  # what the legend needs
OFF, SPACE = 0.14, 0.1  # from the marker to the name; from the name to the figures
NAME, FIGURES, LEGEND = 8.5, 8.0, 9.0  # points
SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)  # in the legend


def draw_timeline(networks: Sequence[Network]) -> Figure:
    """A line for each network, at its year: families in the order in which they began.

    Years without a network are left out, and a mark on the axis says so.
    """
    from matplotlib.figure import Figure

    families = _families(networks)
    places = _places(sorted({n.year for n in networks}))
    right = max(places[n.year] + _label(n) for n in networks)
    width = max(LEFT + right + 2 * EDGE, NARROWEST)
    height = TOP + BELOW + LINE * len(networks) + BETWEEN * len(families)

    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-LEFT, width - LEFT), ylim=(height, 0))
    axes.set_axis_off()
    title = f"{len(networks)} networks, {min(places)} to {max(places)}"
    axes.text(EDGE - LEFT, 0.35, title, size=15, weight="bold", va="center")
    shade = _shades([n.depth for n in networks])

    y = TOP
    for number, (family, members) in enumerate(families.items()):
        end = y + LINE * len(members) + BETWEEN
        if number % 2 == 0:
            axes.axhspan(y, end, color="#f2f2f2", lw=0)
        axes.text(EDGE - LEFT, (y + end) / 2, family, size=10, weight="bold", va="center_baseline")
        for line, n in enumerate(members):
            _mark(axes, n, places[n.year], y + BETWEEN / 2 + LINE * (line + 0.5), shade(n.depth))
        y = end
    _years(axes, places, y)
    _legend(axes, y + 0.33, networks)
    return figure


def plot_timeline(networks: Sequence[Network], path: Path) -> None:
    """Draw the networks over the years and write the picture.

    Args:
        path: ends in .png or .svg.

    Raises:
        InputError: the picture cannot be written there.
    """
    save_picture(draw_timeline(networks), path)


def _families(networks: Sequence[Network]) -> dict[str, list[Network]]:
    """The oldest first, in and among families; what is of one year stays in the table's order."""
    families: dict[str, list[Network]] = {}
    for n in sorted(networks, key=lambda n: n.year):
        families.setdefault(n.family, []).append(n)
    return families


def _places(years: Sequence[int]) -> dict[int, float]:
    """Where each year stands, in inches."""
    places = {years[0]: 0.0}
    for before, year in pairwise(years):
        places[year] = places[before] + (YEAR if year == before + 1 else LEAP)
    return places


def _mark(axes: Axes, n: Network, x: float, y: float, color: Color) -> None:
    axes.scatter(x, y, _area(n.parameters), color=[color], zorder=3, lw=0)
    axes.text(x + OFF, y, n.name, size=NAME, va="center_baseline")
    after = x + OFF + breadth(n.name, NAME) + SPACE
    axes.text(after, y, _figures(n), size=FIGURES, va="center_baseline", color="#666666")


def _figures(n: Network) -> str:
    return f"{n.depth} layers, {_short(n.parameters)}"


def _label(n: Network) -> float:
    """From the marker's middle to the end of what is written beside it."""
    return OFF + breadth(n.name, NAME) + SPACE + breadth(_figures(n), FIGURES)


def _area(parameters: int) -> float:
    """Points squared: a marker's breadth grows with the logarithm of the parameters."""
    return float((2.4 * max(1.0, math.log10(parameters) - 3.5)) ** 2)


def _shades(depths: Sequence[int]) -> Callable[[int], Color]:
    """The deeper, the darker: from the shallowest to the deepest, by the logarithm."""
    from matplotlib import colormaps

    colors, least, most = colormaps["viridis_r"], math.log(min(depths)), math.log(max(depths))
    return lambda depth: colors(0.15 + 0.85 * (math.log(depth) - least) / ((most - least) or 1.0))


def _short(parameters: float) -> str:
    """`23 k`, `4.2 M`, `138 M`."""
    value, unit = (parameters / 1e6, "M") if parameters >= 999_500 else (parameters / 1e3, "k")
    return f"{value:.1f} {unit}" if value < 99.95 and unit == "M" else f"{value:.0f} {unit}"


def _years(axes: Axes, places: dict[int, float], bottom: float) -> None:
    for year, x in places.items():
        axes.plot([x, x], [TOP - 0.1, bottom], color="#dddddd", lw=0.8, zorder=1)
        axes.text(x, TOP - 0.2, str(year), size=10, ha="center", va="bottom", weight="bold")
    axes.plot([-0.2, max(places.values()) + 0.2], [TOP - 0.1] * 2, color="#666666", lw=1)
    for (before, left), (year, right) in pairwise(places.items()):
        if year > before + 1:
            middle = (left + right) / 2
            axes.text(middle, TOP - 0.1, "//", size=11, ha="center", va="center", color="#666666")


def _legend(axes: Axes, y: float, networks: Sequence[Network]) -> None:
    depths = [n.depth for n in networks]
    shade, least, most = _shades(depths), min(depths), max(depths)
    some = [round(least * (most / least) ** (step / 3)) for step in range(4)]
    dots: dict[str, list[tuple[float, Color | str, str]]] = {
        "parameters": [(_area(n), "#666666", _short(n).replace(".0", "")) for n in SIZES],
        "layers": [(_area(SIZES[-2]), shade(n), f"{n}") for n in dict.fromkeys(some)],
        "//  years without a network": [],
    }
    x = EDGE - LEFT
    for title, entries in dots.items():
        axes.text(x, y, title, size=LEGEND, va="center")
        x += breadth(title, LEGEND) + 0.2
        for area, color, words in entries:
            axes.scatter(x, y, area, color=[color], lw=0)
            axes.text(x + 0.13, y, words, size=LEGEND, va="center")
            x += 0.13 + breadth(words, LEGEND) + 0.25
        x += 0.3
