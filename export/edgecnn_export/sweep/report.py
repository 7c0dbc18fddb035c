"""What a sweep found, as the MobileNet paper tells it: a table of widths, one of resolutions.

Howard et al. (2017), https://arxiv.org/abs/1704.04861, tables 6 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.visualization.front import Dot
from edgecnn_export.sweep.sweep import Sweep
from edgecnn_export.sweep.table import Row


@dataclass(frozen=True)
class Table:
    """Columns are right-aligned but the first; `marked` rows are shown in bold."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A file beside the report; `text` says what it shows to who cannot see it."""

    file: str
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, or with `heading` the title of what follows."""

    content: str
    heading: bool = False


Part = Table | Picture | Text


def report(found: Sweep, budget_ms: float | None, min_top1: float | None) -> list[Part]:
    """The report in reading order; its first part is the title."""
    parts: list[Part] = [Text(f"{found.model} on {found.data}", heading=True)]
    parts += [Text(line) for line in _lead(found, budget_ms, min_top1)]
    parts += [t for t in (_widths(found), _resolutions(found)) if len(t.rows) > 1]
    if any(row.p50_ms is not None for row in found.variants):
        parts.append(Text("Accuracy against latency", heading=True))
        if any(row.top1 is not None for row in found.variants):
            parts.append(Picture("pareto.svg", "top-1 against latency, with the Pareto front"))
            parts.append(_front(found))
        parts.append(Picture("latency.svg", "latency against multiply-accumulates"))
    parts += _predictions(found)
    parts.append(Text("All variants", heading=True))
    parts.append(_all(found))
    if any(row.engines for row in found.variants):
        parts.append(_engines(found))
    parts.append(Text("How it was made", heading=True))
    parts += [Text(line) for line in _how(found)]
    return parts


def dots(found: Sweep) -> list[Dot]:
    """The variants as pictures show them."""
    return [
        Dot(
            name=f"{row.width:g}-{row.resolution}",
            series=row.precision,
            macs=row.macs,
            ms=row.p50_ms,
            top1=row.top1,
            predicted=row.predicted,
            front=row.pareto,
        )
        for row in found.variants
        if row.p50_ms is not None
    ]


def told(row: Row) -> str:
    """A variant in a sentence."""
    top1 = "unknown top-1" if row.top1 is None else f"top-1 {row.top1:.3f}"
    about = "about " if row.predicted else ""
    ms = "not measured" if row.p50_ms is None else f"{about}{row.p50_ms:.2f} ms"
    return f"{row.name}: {top1}, {ms}, {row.macs / 1e6:.0f} million MACs"


def _lead(found: Sweep, budget_ms: float | None, min_top1: float | None) -> list[str]:
    networks = len({(row.width, row.resolution) for row in found.variants})
    precisions = list(dict.fromkeys(row.precision for row in found.variants))
    lines = [
        f"{networks} networks in {', '.join(precisions)}; top-1 on {found.images} held-out images"
        " through the runtime's own preprocessing and engine; latency is the median from a frame of"
        f" the camera to its label, on {found.device or 'no device'}."
    ]
    limit = None
    if budget_ms is not None:
        limit = f"within {budget_ms:g} ms"
    elif min_top1 is not None:
        limit = f"with a top-1 of {min_top1:g} or more"
    if limit:
        picked = told(found.pick) if found.pick else "none of those that were measured"
        lines.append(f"The pick {limit}: {picked}.")
    return lines


def _precisions(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.precision for row in rows))


def _widths(found: Sweep) -> Table:
    """The paper's table 6: widths at the largest resolution."""
    largest = max(found.variants, key=lambda row: (_area(row.resolution), row.macs)).resolution
    rows = [row for row in found.variants if row.resolution == largest]
    title = f"Width multiplier, at resolution {largest}"
    return _paper_table(title, "width multiplier", found.model, rows)


def _resolutions(found: Sweep) -> Table:
    """The paper's table 7: resolutions at the largest width."""
    widest = max(row.width for row in found.variants)
    rows = [row for row in found.variants if row.width == widest]
    return _paper_table(f"Resolution, at width {widest:g}", "resolution", found.model, rows)


def _area(resolution: int | str) -> int:
    sides = [int(side) for side in str(resolution).split("x")]
    return sides[0] * sides[-1]


def _paper_table(title: str, first: str, model: str, rows: Sequence[Row]) -> Table:
    precisions = _precisions(rows)
    header = (
        first,
        *(f"top-1 {p}, %" for p in precisions),
        "million MACs",
        "million parameters",
        *(f"{p}, ms" for p in precisions),
    )
    lines = []
    for key in dict.fromkeys((row.width, row.resolution) for row in rows):
        mine = {row.precision: row for row in rows if (row.width, row.resolution) == key}
        one = next(iter(mine.values()))
        lines.append(
            (
                f"{one.width:.2f} {model}-{one.resolution}",
                *(percent(mine[p].top1) if p in mine else "" for p in precisions),
                millions(one.macs),
                millions(one.parameters),
                *(milliseconds(mine[p]) if p in mine else "" for p in precisions),
            )
        )
    return Table(title, header, tuple(lines))


def _front(found: Sweep) -> Table:
    rows = sorted((r for r in found.variants if r.pareto), key=lambda r: r.p50_ms or 0.0)
    lines = tuple(
        (f"{r.width:.2f}-{r.resolution} {r.precision}", percent(r.top1), milliseconds(r))
        for r in rows
    )
    marked = frozenset(i for i, row in enumerate(rows) if row == found.pick)
    return Table("The Pareto front", ("variant", "top-1, %", "ms"), lines, marked)


def _all(found: Sweep) -> Table:
    header = (
        *("variant", "top-1, %", "p50, ms", "million MACs", "million parameters"),
        *("graph, MB", "p90, ms", "p99, ms", "top-5, %", "front"),
    )
    lines = tuple(
        (
            f"{r.width:.2f}-{r.resolution} {r.precision}",
            percent(r.top1),
            milliseconds(r),
            millions(r.macs),
            millions(r.parameters),
            f"{r.bytes / 1e6:.2f}",
            _plain(r.p90_ms),
            _plain(r.p99_ms),
            percent(r.top5),
            "yes" if r.pareto else "",
        )
        for r in found.variants
    )
    marked = frozenset(i for i, row in enumerate(found.variants) if row == found.pick)
    return Table("", header, lines, marked)


def _engines(found: Sweep) -> Table:
    lines = tuple(
        (
            f"{row.width:.2f}-{row.resolution} {row.precision}",
            engine.target,
            f"{engine.bytes:,}",
            f"{engine.weight_bytes:,}",
            f"{engine.seconds:.2f}",
        )
        for row in found.variants
        for engine in row.engines
    )
    count = len(lines)
    header = ("engine", "target", "bytes", "of them weights", "seconds")
    return Table(f"{count} engines", header, lines)


def _predictions(found: Sweep) -> list[Part]:
    if not found.predictions:
        return []
    lines = tuple(
        (
            p.precision,
            str(p.measured),
            str(p.predicted),
            _share(p.median_error),
            _share(p.worst_error),
            f"{p.factors[0] * 1e3:.3g}",
            *(f"{factor * 1e9:.3g}" for factor in p.factors[1:]),
        )
        for p in found.predictions
    )
    header = (
        *("precision", "measured", "predicted", "median error", "worst error"),
        *("µs of a layer", "ps of a MAC", "ps of a value", "ps of a weight"),
    )
    text = (
        "Inference follows from counts: so much for each layer, for each multiply-accumulate, for"
        " each value that layers read and write, for each weight; a factor is never below zero."
        " What comes before and after is taken from variants of the same or the nearest resolution."
        " The error is that of leaving one out: each measured variant predicted from all others."
        " Predicted figures have a ~ and are drawn hollow; none of them is picked."
    )
    return [
        Text("How latency is predicted", heading=True),
        Text(text),
        Table("", header, lines),
    ]


def _how(found: Sweep) -> list[str]:
    names = {
        "train": "training",
        "supernet": "training the supernet and cutting its networks out",
        "export": "exporting, compiling and judging",
        "measure": "measuring",
    }
    known = {k: found.seconds.get(k, 0.0) for k in names}
    spent = [f"{names[k]} {seconds:.0f} s" for k, seconds in known.items() if seconds >= 0.5]
    lines = [f"Time, summed over the variants: {', '.join(spent)}."]
    if found.supernet:
        lines.append(
            "All widths share the weights of one network, which was trained by the sandwich rule at"
            " all resolutions in turn; each network is a slice of it, with its own statistics of"
            " batch norm (Yu et al., 2018 and 2019)."
        )
    best = max((row.top1 for row in found.variants if row.top1 is not None), default=None)
    if best is not None and found.images:
        noise = 100 * 1.96 * math.sqrt(max(best * (1 - best), 1 / found.images) / found.images)
        lines.append(
            f"One of {found.images} images is {100 / found.images:.2f} points, and the 95% interval"
            f" of the best top-1 is about {noise:.1f} points to either side: smaller differences"
            " rank nothing."
        )
    return lines + [f"Missing: {problem}." for problem in found.problems]


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def millions(count: int) -> str:
    """Three digits, as the paper has them."""
    value = count / 1e6
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def milliseconds(row: Row) -> str:
    if row.p50_ms is None:
        return ""
    return f"~{row.p50_ms:.2f}" if row.predicted else f"{row.p50_ms:.2f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f}%"
