"""The table of a sweep: a row for each width, resolution and precision; the front and the pick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgecnn_export.sweep.folder import Engine, Graph, Latency, Variant


@dataclass(frozen=True)
class Row:
    """A variant as `edgecnn sweep` answers with it.

    Attributes:
        resolution: the side of a square input, or `HxW`.
        top1, top5: share of the held-out images; None where nothing here runs the precision.
        p50_ms: from a frame to its label; None where it was neither measured nor predicted.
        predicted: whether `p50_ms` comes from the latency model.
        bytes: of the ONNX graph.
        pareto: no other variant is both as accurate and as fast, and better in one of them.
        why: what is missing, and why.
    """

    width: float
    resolution: int | str
    precision: str
    parameters: int
    macs: int
    top1: float | None
    top5: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    predicted: bool
    bytes: int
    engines: tuple[Engine, ...]
    kept: int
    backend: str
    device: str
    pareto: bool
    bundle: str
    why: str = ""

    @property
    def name(self) -> str:
        return f"width {self.width:g}, resolution {self.resolution}, {self.precision}"


def row_of(variant: Variant, graph: Graph, measured: Latency | None, bundle: str) -> Row:
    """A row, without what is known of the others."""
    point = variant.point
    return Row(
        width=point.width,
        resolution=point.height if point.height == point.across else point.resolution,
        precision=graph.precision,
        parameters=variant.parameters,
        macs=variant.macs,
        top1=graph.top1,
        top5=graph.top5,
        p50_ms=measured.p50 if measured else None,
        p90_ms=measured.p90 if measured else None,
        p99_ms=measured.p99 if measured else None,
        predicted=False,
        bytes=graph.bytes,
        engines=graph.engines,
        kept=graph.kept,
        backend=measured.backend if measured else "",
        device=measured.device if measured else "",
        pareto=False,
        bundle=bundle,
        why=graph.why,
    )


def with_front(rows: Sequence[Row]) -> list[Row]:
    """Mark the Pareto front: of those with both figures, what nothing dominates."""
    return [replace(row, pareto=_on_front(row, rows)) for row in rows]


def _on_front(row: Row, rows: Sequence[Row]) -> bool:
    if row.top1 is None or row.p50_ms is None:
        return False
    for other in rows:
        if other.top1 is None or other.p50_ms is None:
            continue
        as_good = other.top1 >= row.top1 and other.p50_ms <= row.p50_ms
        if as_good and (other.top1, other.p50_ms) != (row.top1, row.p50_ms):
            return False
    return True


def pick(
    rows: Sequence[Row], *, budget_ms: float | None = None, min_top1: float | None = None
) -> Row | None:
    """The most accurate within a budget, or the fastest that is accurate enough.

    Only what was measured is picked: a predicted latency is no promise. Of equals in accuracy the
    faster one is taken, of equals in both the one with fewer parameters.

    Returns:
        None where no variant keeps the limit, or no limit was given.
    """
    known = [(row.top1, row.p50_ms, row) for row in rows if not row.predicted]
    found = [(top1, ms, row) for top1, ms, row in known if top1 is not None and ms is not None]
    if budget_ms is not None:
        within = [entry for entry in found if entry[1] <= budget_ms]
        return min(within, key=lambda e: (-e[0], e[1], e[2].parameters))[2] if within else None
    if min_top1 is not None:
        within = [entry for entry in found if entry[0] >= min_top1]
        return min(within, key=lambda e: (e[1], -e[0], e[2].parameters))[2] if within else None
    return None


def promising(
    rows: Sequence[Row], best: Row | None, *, budget_ms: float | None, min_top1: float | None
) -> Row | None:
    """The variant that would be picked if its predicted latency were true: worth measuring."""
    as_if = {id(row): replace(row, predicted=False) for row in rows}
    other = pick(list(as_if.values()), budget_ms=budget_ms, min_top1=min_top1)
    found = next((row for row in rows if as_if[id(row)] is other), None)
    return found if found and found.predicted and found is not best else None
