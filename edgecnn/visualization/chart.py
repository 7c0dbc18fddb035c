"""Accuracy, operations and parameters of several networks on one chart.

After Canziani, Paszke, Culurciello (2016), An analysis of deep neural network models for practical
applications, https://arxiv.org/abs/1605.07678.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from edgecnn.models.cost import cost
from edgecnn.training.run import is_run, read_run
from edgecnn.visualization.pictures import breadth
from edgecnn.visualization.studio import Drawing
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Manifest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One network.

    Attributes:
        name: of the folder.
        model: name, width and resolution.
        data: what its accuracy was measured on.
        top1: share of the held-out images, 0 to 1.
        macs: for one image.
    """

    name: str
    model: str
    data: str
    top1: float
    macs: int
    parameters: int


def read_points(targets: Sequence[str]) -> list[Point]:
    """Runs and bundles -> points, in the order in which they are named.

    Raises:
        InputError: neither a run nor a bundle, one without an accuracy, or several data sets.
    """
    points = [_of_run(t) if is_run(t) else _of_bundle(t) for t in targets]
    for point in points:
        if point.data != points[0].data:
            raise InputError(
                f"{points[0].name} was measured on {points[0].data or 'nothing known'} and"
                f" {point.name} on {point.data or 'nothing known'}; a chart compares networks"
                " on one data set"
            )
    return points


def _of_run(target: str) -> Point:
    run = read_run(target)
    if "top1" not in run.metrics:
        raise InputError(f"{target} has no accuracy: its first epoch has not ended; train it first")
    with torch.device("meta"):
        network = run.network()
    size = cost(network, (run.input.channels, run.input.height, run.input.width))
    return Point(
        name=_name(target),
        model=_model(run.model, run.width, run.input.height, run.input.width),
        data=run.data,
        top1=run.metrics["top1"],
        macs=size.macs,
        parameters=size.parameters,
    )


def _of_bundle(target: str) -> Point:
    if not (Path(target) / "manifest.json").is_file():
        raise InputError(f"{target} is neither a run folder nor a bundle; a chart needs these")
    manifest = open_bundle(target).manifest
    if not isinstance(manifest, Manifest):
        raise InputError(f"{target} is a filter, which has no accuracy")
    if "top1" not in manifest.metrics or manifest.model.macs is None:
        raise InputError(
            f"{target} does not tell its accuracy and operations; name its run instead"
        )
    return Point(
        name=_name(target),
        model=_model(manifest.model.name, manifest.model.width, *manifest.model.resolution),
        data=str(manifest.provenance.get("data", "")),
        top1=manifest.metrics["top1"],
        macs=manifest.model.macs,
        parameters=manifest.model.parameters,
    )


def _name(target: str) -> str:
    return Path(target).resolve().name


def _model(name: str, width: float, height: int, wide: int) -> str:
    size = f"{height}" if height == wide else f"{height}x{wide}"
    return f"{name} {width:g} at {size}" if width != 1.0 else f"{name} at {size}"


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in accuracy with as few operations, from the cheapest on."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.macs, -p.top1)):
        if not best or point.top1 > best[-1].top1:
            best.append(point)
    return best


def draw_chart(points: Sequence[Point]) -> Drawing:
    """A bubble for each network."""
    rows = tuple(
        (p.name, p.model, f"{p.top1:.3f}", f"{p.macs / 1e6:,.1f}", f"{p.parameters:,}")
        for p in points
    )
    return Drawing(
        name="chart",
        title="Accuracy, operations and parameters",
        caption="Up is better, left is cheaper; a bubble's area is its network's parameters. The"
        " line joins the networks that no other beats in accuracy with as few operations."
        " Operations are multiply-accumulates for one image, as 'edgecnn models' counts them.",
        draw=lambda: _draw(points),
        table=(("run", "network", "top-1", "MACs (M)", "parameters"), *rows),
    )


AREA = 1400.0  # points squared, of the largest bubble
PLOT = (5.6, 3.6)  # inches
LEFT, TOP, BELOW, RIGHT = 0.9, 0.45, 0.95, 0.2
WORDS = 8.5


def _draw(points: Sequence[Point]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    size = LEFT + PLOT[0] + RIGHT, TOP + PLOT[1] + BELOW
    figure = Figure(figsize=size)
    axes = figure.add_axes((LEFT / size[0], BELOW / size[1], PLOT[0] / size[0], PLOT[1] / size[1]))
    most = max(p.parameters for p in points)
    macs, tops = [p.macs / 1e6 for p in points], [p.top1 for p in points]
    axes.set(xscale="log", xlabel="multiply-accumulates for one image, millions", ylabel="top-1")
    axes.set_xlim(min(macs) / 1.8, max(macs) * 2.6)
    margin = max(0.01, 0.2 * (max(tops) - min(tops)))
    axes.set_ylim(min(tops) - margin, min(max(tops) + margin, 1 + margin / 4))
    best = front(points)
    axes.plot(
        [p.macs / 1e6 for p in best], [p.top1 for p in best], color="#f58518", lw=1.2, ls="--"
    )
    areas = [AREA * p.parameters / most for p in points]
    axes.scatter(macs, tops, areas, color="#4c78a8", alpha=0.65, lw=0, zorder=3)
    axes.scatter(macs, tops, 5, color="#808080", lw=0, zorder=4)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    _names(axes, points, areas)
    title = f"{len(points)} networks on {Path(points[0].data).name}"
    figure.text(0.12 / size[0], 1 - 0.2 / size[1], title, size=10, weight="bold", va="center")
    _sizes(figure, most, size)
    return figure


def _names(axes: Axes, points: Sequence[Point], areas: Sequence[float]) -> None:
    """Beside each bubble, where no other name lies: right, left, above or below."""
    taken: list[tuple[float, float, float, float]] = []
    centres = [_inches(axes, p) for p in points]
    radii = [(area / 3.14159) ** 0.5 / 72 for area in areas]
    for (x, y), r in zip(centres, radii, strict=True):
        inner = min(r, 0.1)
        taken.append((x - inner, y - inner, x + inner, y + inner))
    for point, (x, y), r in zip(points, centres, radii, strict=True):
        wide, high = breadth(point.name, WORDS) + 0.02, 0.15
        away = r + 0.05
        corners = [
            (x + away, y - high / 2),
            (x - away - wide, y - high / 2),
            *((x - wide / 2, y + sign * (away + step * high) - high / 2)
              for step in (0.5, 1.5, 2.5) for sign in (1, -1)),
        ]  # fmt: skip
        boxes = [(a, b, a + wide, b + high) for a, b in corners]
        inside = [b for b in boxes if b[0] >= 0 and b[2] <= PLOT[0] + RIGHT]
        free = [b for b in inside if not any(_meet(b, other) for other in taken)]
        box = (free or inside or boxes)[0]
        taken.append(box)
        axes.text(
            box[0] / PLOT[0], (box[1] + high / 2) / PLOT[1], point.name, size=WORDS,
            va="center_baseline", transform=axes.transAxes, zorder=5,
        )  # fmt: skip


def _inches(axes: Axes, point: Point) -> tuple[float, float]:
    """From the lower left corner of the axes."""
    place = axes.transData.transform((point.macs / 1e6, point.top1))
    x, y = axes.transAxes.inverted().transform(place)
    return float(x) * PLOT[0], float(y) * PLOT[1]


Rectangle = tuple[float, float, float, float]  # left, bottom, right, top


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _sizes(figure: Figure, most: int, size: tuple[float, float]) -> None:
    """The legend: what some bubbles stand for."""
    axes = figure.add_axes((LEFT / size[0], 0.02, PLOT[0] / size[0], 0.36 / size[1]))
    axes.set(xlim=(0, PLOT[0]), ylim=(-0.18, 0.18))
    axes.set_axis_off()
    axes.text(0, 0, "parameters", size=WORDS, va="center")
    x = 1.1
    for share in (0.03, 0.1, 0.3):
        parameters = _round(most * share)
        axes.scatter(x, 0, AREA * parameters / most, color="#4c78a8", alpha=0.65, lw=0)
        radius = (AREA * parameters / most / 3.14159) ** 0.5 / 72
        axes.text(x + radius + 0.06, 0, f"{parameters:,}", size=WORDS, va="center")
        x += 1.5


def _round(number: float) -> int:
    """To one leading digit."""
    return int(float(f"{number:.0e}"))
