"""Profiles as one page of HTML that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn_runtime import __version__
from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.latency import charts
from edgecnn_runtime.latency.drawing import intervals
from edgecnn_runtime.latency.layers import LayerProfile
from edgecnn_runtime.latency.profile import Profile
from edgecnn_runtime.latency.report import COLUMNS, digits
from edgecnn_runtime.latency.turns import labels
from edgecnn_runtime.latency.words import facts, pace, ratio_line, verdict

if TYPE_CHECKING:
    from edgecnn_runtime.latency.turns import Comparison

CSS = Path(__file__).with_name("page.css")
MOST_LAYERS = 200


def write_page(
    found: Comparison,
    path: str | Path,
    layers: LayerProfile | None = None,
    baseline: Profile | None = None,
) -> None:
    """Write the page.

    Args:
        layers: of the first profile.
        baseline: drawn beside it.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    atomic_write(Path(path), page(found, layers, baseline).encode())


def page(
    found: Comparison, layers: LayerProfile | None = None, baseline: Profile | None = None
) -> str:
    """The page as HTML; see `write_page`."""
    profiles, names = found.profiles, labels(found.profiles)
    if baseline is not None:
        profiles, names = [*profiles, baseline], [*names, "baseline"]
        found = replace(found, profiles=profiles)
    title = "Latency of " + ", ".join(dict.fromkeys(map(_bundle, profiles)))
    parts = [
        f"<h1>{escape(title)}</h1>",
        *_header(found),
        *_verdicts(found),
        f"<h2>Percentiles, ms</h2>{_percentiles(names, profiles)}",
        f'<h2>Distribution</h2><div class="charts">{"".join(_charts(names, found))}</div>',
        *(_layers(layers) if layers else []),
        "<h2>How it was measured</h2>",
        *(_facts(name, profile) for name, profile in zip(names, profiles, strict=True)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS.read_text()}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _bundle(profile: Profile) -> str:
    return profile.network.bundle if profile.network else profile.backend


def _header(found: Comparison) -> list[str]:
    first = found.profiles[0]
    devices = dict.fromkeys(p.device for p in found.profiles)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    how = f"; {found.how}" if len(found.profiles) > 1 else ""
    lines = [" and ".join(devices), f"{pace(first)}{how}; {now}, edgecnn {__version__}"]
    return [f'<p class="soft">{escape(line)}</p>' for line in lines]


def _verdicts(found: Comparison) -> list[str]:
    drawn = []
    judged = found.profiles[0].against
    if judged:
        bad = " bad" if judged.is_regression else ""
        drawn.append(f'<p class="verdict{bad}">{escape(verdict(judged))}</p>')
    drawn += [f'<p class="verdict">{escape(ratio_line(one))}</p>' for one in found.ratios]
    return drawn


def _percentiles(names: Sequence[str], profiles: Sequence[Profile]) -> str:
    head = "".join(f"<th>{column}</th>" for column in ("", *COLUMNS))
    rows = []
    for index, (name, profile) in enumerate(zip(names, profiles, strict=True)):
        for stage, p in {"end to end": profile.end_to_end, **vars(profile.stages)}.items():
            values = (p.mean, p.p50, p.p90, p.p95, p.p99, p.p999, p.min, p.max)
            cells = "".join(f"<td>{digits(value)}</td>" for value in values)
            first = stage == "end to end"
            mark = _chip(charts.color(index)) + escape(name) if first else f"&emsp;{stage}"
            rows.append(f"<tr><td>{mark}</td>{cells}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _chip(color: str) -> str:
    return f'<i class="chip {color}"></i>'


def _charts(names: Sequence[str], found: Comparison) -> list[str]:
    samples = [profile.samples_ms for profile in found.profiles]
    several = len(names) > 1
    legend = _legend({name: charts.color(i) for i, name in enumerate(names)}) if several else ""
    shown = [
        _figure("Frames by latency", "Every frame, none clipped.", charts.distribution(samples)),
        _figure("Percentiles", "Each nine has the same room.", charts.tail(samples)),
        _figure("Frame by frame", "In the order of time.", charts.in_order(samples)),
    ]
    stage_legend = _legend({stage: f"s{i}" for i, stage in enumerate(charts.STAGES)})
    shown.append(
        _figure(
            "Stages",
            "The median of each, and their sum.",
            stage_legend + charts.stages(names, found.profiles),
        )
    )
    if any(profile.batches for profile in found.profiles):
        rates = [profile.batches for profile in found.profiles]
        drawn = charts.batches(rates)
        if drawn:
            shown.append(_figure("Throughput by batch size", "Inference alone.", drawn))
    if found.ratios:
        rows = [(one.what, one.ratio, one.low, one.high) for one in found.ratios]
        what = f"Median end to end, beside {found.ratios[0].to}; 95% intervals, {found.how}."
        shown.append(_figure("Times as long", what, intervals("ratios of medians", rows)))
    return [f'<div class="legend" style="grid-column:1/-1">{legend}</div>', *shown]


def _legend(colors: dict[str, str]) -> str:
    spans = (f"<span>{_chip(color)}{escape(name)}</span>" for name, color in colors.items())
    return f'<div class="legend">{"".join(spans)}</div>'


def _figure(title: str, caption: str, drawn: str) -> str:
    words = f"<h3>{escape(title)}</h3><figcaption>{escape(caption)}</figcaption>"
    return f"<figure>{words}{drawn}</figure>"


def _layers(found: LayerProfile) -> list[str]:
    drawn = charts.roof(found)
    parts = ["<h2>Layers</h2>"]
    if drawn and found.peaks:
        fast = found.peaks.levels[:1]
        cache = f"; green: {fast[0].gb_per_s:g} GB/s of the nearest cache" if fast else ""
        caption = (
            f"A disc is a layer, its area what it took. Orange: {found.peaks.gb_per_s:g} GB/s of"
            f" memory{cache}; the level: the arithmetic, {found.peaks.source}."
        )
        parts.append(f'<div class="charts">{_figure("Roofline", caption, drawn)}</div>')
    columns = ("layer", "kind", "p50 ms", "share", "at least ms", "bound")
    head = "".join(f"<th>{column}</th>" for column in columns)
    rows = "".join(
        f"<tr><td>{escape(layer.name)}</td><td>{escape(layer.kind)}</td><td>{layer.p50_ms:.3f}</td>"
        f"<td>{layer.share:.1%}</td>"
        f"<td>{'-' if layer.least_ms is None else f'{layer.least_ms:.4f}'}</td>"
        f"<td>{layer.bound or '-'}</td></tr>"
        for layer in sorted(found.layers, key=lambda layer: -layer.p50_ms)[:MOST_LAYERS]
    )
    parts.append(
        f"<details><summary>{len(found.layers)} layers, the dearest first</summary>"
        f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div></details>'
    )
    return parts


def _facts(name: str, profile: Profile) -> str:
    lines = [
        f"{profile.frames} frames in {profile.turns} turn{'s' * (profile.turns > 1)},"
        f" {profile.throughput_fps:g} a second; {profile.warmup_frames} of warm-up",
        f"first inference {profile.first_ms:.4g} ms"
        + ("" if profile.load_ms is None else f", load {profile.load_ms:.4g} ms"),
        *([f"{profile.late_starts} late starts"] if profile.rate else []),
        *facts(profile),
    ]
    items = [f"<li>{escape(line)}</li>" for line in lines]
    items += [f'<li class="unsteady">Unsteady: {escape(w)}</li>' for w in profile.warnings]
    known = (profile.backend, profile.network.precision if profile.network else "")
    heading = ", ".join([name, *(word for word in known if word and word not in name)])
    return f"<h3>{escape(heading)}</h3><ul>{''.join(items)}</ul>"
