"""What `edgecnn train` says of the images before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn.data import DataSet
    from edgecnn.data.balance import Count

SHOWN = 20  # classes; of more, the rarest and the most frequent


def report(data: DataSet, people: Console) -> None:
    """Print the images of each class, what to beware of, and the files that were left out."""
    from rich.table import Table

    from edgecnn.data.balance import class_counts, warnings_of

    counts = class_counts(data)
    even = len({(c.train, c.val) for c in counts}) == 1
    if even:
        people.print(f"each class: {counts[0].train} to train, {counts[0].val} held out")
    else:
        table = Table("class", box=None, header_style="bold")
        table.add_column("to train", justify="right")
        table.add_column("held out", justify="right")
        for count in _some(counts):
            if count is None:
                table.add_row(f"... {len(counts) - SHOWN} more", "", "")
            else:
                table.add_row(count.label, f"{count.train:,}", f"{count.val:,}")
        people.print(table)
    for said in warnings_of(counts):
        people.print(f"WARNING: {said}", markup=False)
    for said in data.broken:
        people.print(f"left out: {said}", markup=False)


def _some(counts: list[Count]) -> list[Count | None]:
    """All of them, or the rarest and the most frequent with None between them."""
    if len(counts) <= SHOWN:
        return list(counts)
    ordered = sorted(counts, key=lambda c: c.train)
    return [*ordered[: SHOWN // 2], None, *ordered[-SHOWN // 2 :]]
