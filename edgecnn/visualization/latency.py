"""Latency as a picture: the distribution with its percentiles, and where the time goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.visualization.pictures import save_picture

MARKS = (("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("max", "max"))
STAGES = ("preprocess", "infer", "postprocess")


def plot_latency(profile: dict[str, Any], path: Path, *, title: str) -> None:
    """Draw a profile and write the picture.

    Args:
        profile: the result of `edgecnn profile --json`, with `samples_ms`, `end_to_end`, `stages`.
        path: ends in .png or .svg.
        title: the first line; machine and backend are added below it.

    Raises:
        InputError: the picture cannot be written there.
    """
    from matplotlib import ticker
    from matplotlib.figure import Figure

    samples, figures = np.array(profile["samples_ms"]), profile["end_to_end"]
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 1])
    figure.suptitle(f"{title}\n{profile['backend']} on {profile['device']}", fontsize=11)
    # All samples are drawn, the slowest too: a logarithmic axis has room for them.
    edges = np.geomspace(samples.min() * 0.98, samples.max() * 1.02, 60)
    left.hist(samples, bins=edges.tolist(), color="#4c78a8")
    left.set(xscale="log", xlabel="end to end, ms", ylabel=f"frames of {len(samples)}")
    left.xaxis.set_major_locator(ticker.MaxNLocator(8, min_n_ticks=4))
    left.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    left.xaxis.set_minor_locator(ticker.NullLocator())
    colors = ("#222222", "#f58518", "#e45756", "#b279a2")
    for (name, key), color in zip(MARKS, colors, strict=True):
        label = f"{name}  {figures[key]:.2f} ms"
        left.axvline(figures[key], color=color, linewidth=1.5, label=label)
    left.legend(frameon=False, prop={"family": "monospace", "size": 9})
    medians = [profile["stages"][stage]["p50"] for stage in STAGES]
    bars = right.bar(STAGES, medians, color=["#72b7b2", "#4c78a8", "#54a24b"])
    right.bar_label(bars, fmt="%.2f", fontsize=9)
    right.set(ylabel="median, ms")
    right.margins(y=0.12)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    save_picture(figure, path, dpi=130)
