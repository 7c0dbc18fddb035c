"""What `edgecnn profile` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.latency.profile import Profile
    from edgecnn_runtime.latency.ratios import Against
    from edgecnn_runtime.latency.turns import Comparison


def show(result: Profile, out: Console) -> None:
    """Print one profile: how it was measured, the percentiles, and what else was seen."""
    from edgecnn_runtime.latency.report import latency_table, trtexec_lines
    from edgecnn_runtime.latency.words import facts, pace

    out.print(f"{', then '.join(result.backends)} on {result.device}", markup=False)
    if result.network:
        out.print(f"{result.network.bundle}, {result.network.precision}", markup=False)
    load = "" if result.load_ms is None else f"load {result.load_ms:.0f} ms, "
    turns = f" in {result.turns} turns" if result.turns > 1 else ""
    out.print(
        f"{result.frames} frames{turns} {pace(result)}; {load}first inference"
        f" {result.first_ms:.1f} ms, {result.warmup_frames} frames of warm-up"
    )
    if result.rate:
        out.print(f"{result.late_starts} frames were due before the one before was done")
    stages = result.stages
    rows = {
        "preprocess": stages.preprocess,
        "infer": stages.infer,
        "postprocess": stages.postprocess,
        "end to end": result.end_to_end,
    }
    out.print(latency_table(rows), soft_wrap=False)
    out.print(trtexec_lines(result.throughput_fps, result.end_to_end), markup=False)
    for line in (*facts(result), *(f"UNSTEADY: {warning}" for warning in result.warnings)):
        out.print(line, markup=False)


def show_comparison(found: Comparison, out: Console) -> None:
    """Print candidates side by side, ratios to the first, and what could not be measured."""
    from edgecnn_runtime.latency.report import latency_table
    from edgecnn_runtime.latency.side_by_side import show_side_by_side
    from edgecnn_runtime.latency.turns import labels
    from edgecnn_runtime.latency.words import ratio_line

    names = labels(found.profiles)
    if len(names) > 1:
        both = zip(names, found.profiles, strict=True)
        rows = {name: profile.end_to_end for name, profile in both}
        out.print(latency_table(rows, f"End to end, {found.how}"), soft_wrap=False)
    missing = {one.backend: one.why for one in found.skipped}
    several = len({row.backend for row in found.side_by_side}) > 1 or missing
    show_side_by_side(found.side_by_side if several else [], missing, out)
    for one in found.ratios:
        out.print(ratio_line(one), markup=False)


def show_against(found: Against, out: Console) -> None:
    """Print what has changed since the baseline, and the verdict."""
    from rich.table import Table

    from edgecnn_runtime.latency.words import verdict

    table = Table(title=f"Against {found.baseline}", title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("then", "now", "ratio"):
        table.add_column(column, justify="right")
    for change in found.changes:
        table.add_row(
            change.figure, f"{change.then:.4g}", f"{change.now:.4g}", f"{change.ratio:.3f}"
        )
    out.print(table, soft_wrap=False)
    out.print(verdict(found), markup=False)
