"""The charts of a profile: the distribution, its tail, the frames in order, stages, roofline."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from edgecnn_runtime.latency.batches import BatchRate
from edgecnn_runtime.latency.drawing import Chart, Point, bars, x_scale, y_scale
from edgecnn_runtime.latency.layers import LayerProfile
from edgecnn_runtime.latency.profile import Profile

BINS, MOST_POINTS = 48, 300
STAGES = ("preprocess", "infer", "postprocess")


def color(index: int) -> str:
    """The CSS class of a candidate's colour."""
    return f"c{index % 6}"


def distribution(several: Sequence[Sequence[float]]) -> str:
    """How many frames of a hundred took how long: every sample, on a logarithmic axis."""
    low = min(min(samples) for samples in several)
    high = max(max(samples) for samples in several)
    low, high = low * 0.98, max(high, low * 1.05) * 1.02
    edges = [low * (high / low) ** (i / BINS) for i in range(BINS + 1)]
    shares = [_shares(samples, edges) for samples in several]
    chart = Chart(
        "distribution of the end-to-end latency",
        x_scale([low, high], is_log=True),
        y_scale([0, max(map(max, shares))]),
        "end to end, ms",
        "% of frames",
    )
    for index, counts in enumerate(shares):
        steps: list[Point] = []
        for left, right, share in zip(edges, edges[1:], counts, strict=False):
            steps += [(left, share), (right, share)]
        chart.line(steps, color(index), closed=True)
    return chart.svg()


def _shares(samples: Sequence[float], edges: Sequence[float]) -> list[float]:
    rising = sorted(samples)
    cuts = [bisect_left(rising, edge) for edge in edges]
    return [100 * (b - a) / len(rising) for a, b in pairwise(cuts)]


def tail(several: Sequence[Sequence[float]]) -> str:
    """The percentiles, with as much room for 99 to 99.9 as for 90 to 99."""
    everything = [ms for samples in several for ms in (min(samples), max(samples))]
    most = max(len(samples) for samples in several)
    nines = {0.0: "0", _nines(0.5): "50", 1.0: "90", 2.0: "99", 3.0: "99.9", 4.0: "99.99"}
    end = max(1.0, math.log10(2 * most))
    chart = Chart(
        "percentiles of the end-to-end latency",
        x_scale([0.0, end]),
        y_scale(everything, is_log=True),
        "percentile",
        "ms",
        {place: name for place, name in nines.items() if place <= end},
    )
    for index, samples in enumerate(several):
        rising, count = sorted(samples), len(samples)
        wanted = {round(i * (end / MOST_POINTS), 4) for i in range(MOST_POINTS + 1)}
        ranks = sorted({min(count - 1, int(count * (1 - 10**-place))) for place in wanted})
        points = [(_nines((rank + 0.5) / count), rising[rank]) for rank in ranks]
        chart.line([(0.0, rising[0]), *points], color(index))
    return chart.svg()


def _nines(share: float) -> float:
    return -math.log10(1 - share)


def in_order(several: Sequence[Sequence[float]]) -> str:
    """Every frame in the order of time: where it warmed up, throttled or stalled."""
    everything = [ms for samples in several for ms in (min(samples), max(samples))]
    chart = Chart(
        "end-to-end latency of each frame in order",
        x_scale([0, max(2, *(len(samples) for samples in several))]),
        y_scale(everything, is_log=True),
        "frame",
        "ms",
    )
    for index, samples in enumerate(several):
        chart.line(_thin(samples), color(index))
    return chart.svg()


def _thin(samples: Sequence[float]) -> list[Point]:
    """At most `MOST_POINTS` pairs of the least and the most of neighbours: no stall is lost."""
    size = max(1, math.ceil(len(samples) / MOST_POINTS))
    points: list[Point] = []
    for begin in range(0, len(samples), size):
        group = samples[begin : begin + size]
        points.append((float(begin), min(group)))
        if size > 1:
            points.append((begin + size / 2, max(group)))
    return points


def stages(names: Sequence[str], profiles: Sequence[Profile]) -> str:
    """Medians of the stages of each."""
    rows = [
        (name, [(f"s{i}", getattr(p.stages, stage).p50) for i, stage in enumerate(STAGES)])
        for name, p in zip(names, profiles, strict=True)
    ]
    return bars("medians of the stages", rows)


def batches(several: Sequence[Sequence[BatchRate]]) -> str:
    """Frames a second by batch size; "" where none ran."""
    ran = [[rate for rate in rates if not rate.why] for rates in several]
    sizes = [rate.batch for rates in ran for rate in rates]
    if not sizes:
        return ""
    most = max(rate.fps for rates in ran for rate in rates)
    chart = Chart(
        "frames a second at each batch size",
        x_scale(sizes, is_log=True),
        y_scale([0, most * 1.05]),
        "batch",
        "frames a second",
        {float(size): str(size) for size in sorted(set(sizes))},
    )
    for index, rates in enumerate(ran):
        points = [(float(rate.batch), rate.fps) for rate in rates]
        if points:
            chart.line(points, color(index))
        for rate in rates:
            words = f"batch {rate.batch}: {rate.fps:g} frames a second"
            chart.dot((rate.batch, rate.fps), color(index), 3, words)
    return chart.svg()


def roof(found: LayerProfile) -> str:
    """Each layer's operations a second by its operations a byte, below the machine's roofs."""
    peaks = found.peaks
    peak = peaks.tera(found.precision) if peaks else None
    if peaks is None or peak is None or not peaks.gb_per_s:
        return ""
    drawn = [
        (2 * layer.macs / layer.bytes, 2 * layer.macs / layer.p50_ms / 1e6, layer)
        for layer in found.layers
        if layer.macs and layer.bytes and layer.p50_ms
    ]
    if not drawn:
        return ""
    x = x_scale([min(0.5, *(d[0] for d in drawn)), max(100.0, *(d[0] for d in drawn))], is_log=True)
    chart = Chart(
        "roofline",
        x,
        y_scale([min(d[1] for d in drawn), 1e3 * peak], is_log=True),
        "operations a byte",
        "10⁹ operations a second",
    )
    rates = [(peaks.gb_per_s, "c1"), *((level.gb_per_s, "c2") for level in peaks.levels[:1])]
    for gb_per_s, shade in rates:
        ridge = min(max(1e3 * peak / gb_per_s, x.low), x.high)
        begin = max(x.low, chart.y.low / gb_per_s)
        chart.line(
            [(begin, gb_per_s * begin), (ridge, gb_per_s * ridge), (x.high, 1e3 * peak)], shade
        )
    for intensity, rate, layer in drawn:
        words = f"{layer.name}: {layer.p50_ms:.3f} ms, {layer.share:.1%}"
        chart.dot((intensity, rate), "c0", 2.5 + 12 * math.sqrt(layer.share), words)
    return chart.svg()
