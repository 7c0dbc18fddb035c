"""What each layer of a network costs when it is computed in eight bits."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE, TOP, BELOW, RIGHT, PLOT = 0.2, 0.65, 0.75, 0.9, 5.0  # inches
DECADES = 6  # a layer that costs less than a millionth of the worst has no bar
BAR, KEPT = "#4c78a8", "#e45756"


def draw_sensitivity(
    costs: Sequence[tuple[str, float]], *, title: str, kept: Collection[str] = ()
) -> Figure:
    """A bar for each layer, in the order in which they run, on a logarithmic axis.

    Args:
        costs: name and mean KL divergence of the answers, in nats.
        kept: names of layers that are not computed in eight bits after all.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from edgecnn.visualization.pictures import breadth

    names = [name for name, _ in costs]
    worst = max([cost for _, cost in costs] + [1e-12])
    least = worst * 10**-DECADES
    left = 0.35 + max(breadth(name, 8) for name in names)
    width, height = left + PLOT + RIGHT, TOP + LINE * len(names) + BELOW
    figure = Figure(figsize=(width, height))
    area = (left / width, BELOW / height, PLOT / width, LINE * len(names) / height)
    axes = figure.add_axes(area)
    colors = [KEPT if name in kept else BAR for name in names]
    axes.barh(range(len(names)), [max(cost, least) for _, cost in costs], color=colors, height=0.72)
    for y, (_, cost) in enumerate(costs):
        axes.text(max(cost, least), y, f" {cost:.1e}", va="center", fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xscale="log", xlim=(least, 10 ** math.ceil(math.log10(worst))))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("KL divergence of the answers from FP32's, nats, with this layer alone in INT8")
    axes.xaxis.label.set_fontsize(8)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.15 / width, 1 - 0.35 / height, title, size=11, weight="bold", va="center")
    if kept:
        legend = [Patch(color=BAR, label="in INT8"), Patch(color=KEPT, label="kept in FP32")]
        axes.legend(handles=legend, frameon=False, fontsize=8, loc="lower right")
    return figure
