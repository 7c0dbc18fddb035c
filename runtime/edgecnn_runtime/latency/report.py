"""Percentiles for people: a table, and the two lines that trtexec prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgecnn_runtime.latency.stages import Percentiles

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "p99.9", "min", "max")


def latency_table(rows: Mapping[str, Percentiles], title: str | None = None) -> Table:
    """A Rich table: one row a stage, milliseconds."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left", title_style="bold")
    table.add_column("ms")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for name, p in rows.items():
        values = (p.mean, p.p50, p.p90, p.p95, p.p99, p.p999, p.min, p.max)
        table.add_row(name, *(digits(value) for value in values))
    return table


def digits(ms: float) -> str:
    """Three that count, and never fewer than all before the point."""
    if ms >= 100:
        return f"{ms:.0f}"
    return f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}" if ms >= 1 else f"{ms:.3f}"


def trtexec_lines(throughput: float, p: Percentiles) -> str:
    """Throughput and latency in trtexec's words, for the scripts that read those."""
    return (
        f"Throughput: {throughput:.6g} qps\n"
        f"Latency: min = {p.min:.6g} ms, max = {p.max:.6g} ms, mean = {p.mean:.6g} ms,"
        f" median = {p.p50:.6g} ms, percentile(90%) = {p.p90:.6g} ms,"
        f" percentile(95%) = {p.p95:.6g} ms, percentile(99%) = {p.p99:.6g} ms"
    )


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, silent where that is not a terminal; gives what to call each step.

    Drawn by the caller's own thread and rarely: a thread that draws would disturb the measurement.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), auto_refresh=False, transient=True)
    with bar:
        task, every, done = bar.add_task(what, total=total), max(1, total // 20), 0

        def step() -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done)
            if done % every == 0:
                bar.refresh()

        yield step
