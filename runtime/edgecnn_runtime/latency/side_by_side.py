"""Several backends on one network, one row each, against the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecnn_runtime.latency.report import digits

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgecnn_runtime.latency.profile import Profile


@dataclass(frozen=True)
class Row:
    """One backend's figures.

    Attributes:
        precision: of the graph, the engine or the weights that it ran.
        p50_ms, p99_ms: of whole frames, from the camera's frame to labels.
        ratio: its p50 over that of the first row.
    """

    backend: str
    precision: str
    p50_ms: float
    p99_ms: float
    throughput_fps: float
    ratio: float


def side_by_side(profiles: Sequence[Profile]) -> list[Row]:
    """The rows of profiles that were measured in the same way."""
    if not profiles:
        return []
    first = profiles[0].end_to_end.p50
    return [
        Row(
            backend=p.backend,
            precision=p.network.precision if p.network else "-",
            p50_ms=p.end_to_end.p50,
            p99_ms=p.end_to_end.p99,
            throughput_fps=p.throughput_fps,
            ratio=round(p.end_to_end.p50 / first, 4) if first else 0.0,
        )
        for p in profiles
    ]


def show_side_by_side(rows: Sequence[Row], skipped: Mapping[str, str], out: Console) -> None:
    """Print the rows as a table, then what was not measured and why."""
    if rows:
        out.print(_table(rows), soft_wrap=False)
    for name, why in skipped.items():
        out.print(f"{name} not measured: {why}", markup=False)


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("backend")
    table.add_column("precision")
    for column in ("p50 ms", "p99 ms", "frames/s", f"p50 to {rows[0].backend}'s"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            Text(row.backend),
            row.precision,
            digits(row.p50_ms),
            digits(row.p99_ms),
            f"{row.throughput_fps:.1f}",
            f"{row.ratio:.2f}",
        )
    return table
