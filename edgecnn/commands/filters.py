"""`edgecnn models filter:`: the filters that MODEL may name."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn_runtime.console import console, write_result


@dataclass(frozen=True)
class FilterRow:
    """One filter, its settings and what they usually are."""

    name: str
    settings: dict[str, float]
    color: str
    help: str


def list_filters(name: str, json: str | None) -> None:
    """Print all filters, or the one of this name.

    Raises:
        InputError: no such filter.
    """
    from rich.table import Table

    from edgecnn.filters import FILTERS, named_filter

    chosen = {name: named_filter(name)} if name else FILTERS
    rows = [
        FilterRow(f"filter:{name}", dict(row.settings), row.color, row.describe())
        for name, row in chosen.items()
    ]
    table = Table("name", "settings", "shows", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for r in rows:
        settings = " ".join(f"{name}={value:g}" for name, value in r.settings.items())
        table.add_row(r.name, settings, r.help)
    people = console(json)
    people.print(table)
    people.print("another setting: edgecnn export filter:gaussian --set tau=5 --out BUNDLE")
    people.print("an angle of 0 is down, of 90 to the right; the waves of Gabor travel along it")
    write_result(rows, json)
