"""A judgement for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from edgecnn.evaluation.intervals import Comparison, Interval
from edgecnn.evaluation.judgement import Judgement
from edgecnn.evaluation.slices import Slice


def figures(found: Judgement, per_million: float | None) -> Table:
    """The figures with their intervals.

    Args:
        per_million: top-1 for each million parameters, where it is known.
    """
    table = Table("figure", "value", "95% interval", box=None, header_style="bold")
    for name in ("top1", "top5", "precision", "recall", "specificity", "accuracy", "map"):
        value, interval = getattr(found.metrics, name), found.intervals[name]
        table.add_row(name, f"{value:.4f}", _between(interval))
    table.add_row("ece", f"{found.calibration.ece:.4f}", "")
    if per_million is not None:
        table.add_row("top1 per M parameters", f"{per_million:.4f}", "")
    return table


def parts(slices: Sequence[Slice]) -> Table:
    """Top-1 of each slice; those that are surely worse than all images are red."""
    table = Table("slice", "images that are", box=None, header_style="bold")
    for column in ("images", "top1", "95% interval"):
        table.add_column(column, justify="right")
    for part in slices:
        table.add_row(
            escape(part.attribute),
            escape(part.name),
            f"{part.images}",
            f"{part.top1:.4f}",
            _between(part.interval),
            style="bold red" if part.worse else None,
        )
    return table


def comparison(
    targets: Sequence[str], found: Sequence[Judgement], against: Sequence[Comparison]
) -> Table:
    """Each target, and what parts it from the first.

    Args:
        against: of the second target and those that follow.
    """
    table = Table("target", "top1", "95% interval", box=None, header_style="bold")
    for column in ("less the first", "95% interval", "gained", "lost", "p"):
        table.add_column(column, justify="right")
    for target, judged, than in zip(targets, found, [None, *against], strict=True):
        row = [escape(target), f"{judged.metrics.top1:.4f}", _between(judged.intervals["top1"])]
        if than:
            row += [f"{than.difference:+.4f}", _between(than.interval, "+.4f")]
            row += [f"{than.gained}", f"{than.lost}", f"{than.p:.3g}"]
        table.add_row(*row)
    return table


def _between(interval: Interval | None, form: str = ".4f") -> str:
    return f"{interval[0]:{form}} to {interval[1]:{form}}" if interval else "-"
