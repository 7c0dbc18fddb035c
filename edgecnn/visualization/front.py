"""A sweep as pictures: accuracy against latency with its Pareto front, latency against MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (5.0, 3.8)  # inches; read on a telephone too, so the letters are large for it
INK = "#222222"
# Seen on white and on black, and by people who see few colours.
COLORS = ("#2b8cd0", "#de8f05", "#029e73", "#cc78bc", "#949494")
MARKERS = ("o", "s", "^", "D", "v")
NAMED = 8  # dots of the front with a name beside them


class Dot(NamedTuple):
    """One variant.

    Attributes:
        name: written beside it where it is on the front.
        series: its precision; dots of one have one colour and sign.
        ms: from a frame to its label.
        predicted: drawn hollow.
        front: whether nothing is better.
    """

    name: str
    series: str
    macs: int
    ms: float
    top1: float | None
    predicted: bool
    front: bool


def draw_front(dots: Sequence[Dot], *, title: str) -> Figure:
    """Top-1 against latency; the front is a line of stairs."""
    known = [dot for dot in dots if dot.top1 is not None]
    figure, axes = _figure(title)
    for series in _series(dots):
        _scatter(axes, series, [d for d in known if d.series == series], dots, "top1")
    front = sorted((d.ms, 100 * (d.top1 or 0.0), d.name) for d in known if d.front)
    if front:
        x, y = [ms for ms, _, _ in front], [top1 for _, top1, _ in front]
        axes.step(x, y, where="post", color=INK, lw=1.2, zorder=1, label="Pareto front")
    for number, (ms, top1, name) in enumerate(front[-NAMED:]):
        below = number % 2
        axes.annotate(
            name,
            (ms, top1),
            xytext=(4, -11 if below else 6),
            textcoords="offset points",
            size=8,
            color=INK,
        )
    axes.set(xscale="log", xlabel="frame to label, median ms", ylabel="top-1, per cent")
    axes.margins(x=0.12, y=0.12)
    _finish(axes)
    return figure


def draw_latency(dots: Sequence[Dot], *, title: str) -> Figure:
    """Latency against multiply-accumulates, both on logarithmic scales."""
    figure, axes = _figure(title)
    for series in _series(dots):
        _scatter(axes, series, [d for d in dots if d.series == series], dots, "ms")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="million multiply-accumulates",
        ylabel="frame to label, median ms",
    )
    axes.margins(0.08)
    _finish(axes)
    return figure


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.set_title(title, size=11, color=INK, loc="left")
    return figure, axes


def _series(dots: Sequence[Dot]) -> list[str]:
    return list(dict.fromkeys(dot.series for dot in dots))


def _scatter(
    axes: Axes, series: str, chosen: Sequence[Dot], dots: Sequence[Dot], what: str
) -> None:
    place = _series(dots).index(series)
    color, marker = COLORS[place % len(COLORS)], MARKERS[place % len(MARKERS)]
    for predicted in (False, True):
        some = [d for d in chosen if d.predicted == predicted]
        if not some:
            continue
        if what == "top1":
            x, y = [d.ms for d in some], [100 * (d.top1 or 0.0) for d in some]
        else:
            x, y = [d.macs / 1e6 for d in some], [d.ms for d in some]
        axes.scatter(
            x,
            y,
            s=34,
            marker=marker,
            facecolors="none" if predicted else color,
            edgecolors=color,
            linewidths=1.4,
            label=f"{series}, predicted" if predicted else series,
            zorder=2,
        )


def _finish(axes: Axes) -> None:
    from matplotlib import ticker

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(ticker.LogLocator(base=10, subs=(1, 2, 5)))
            axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axis.set_minor_locator(ticker.NullLocator())
    axes.tick_params(colors=INK, labelsize=9)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(color="#888888", alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
