"""`edgecnn models`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result

if TYPE_CHECKING:
    from edgecnn.models.cost import Cost


@dataclass(frozen=True)
class Row:
    """One network of the zoo at its paper's width and resolution."""

    name: str
    family: str
    year: int
    depth: int
    parameters: int
    macs: int
    resolution: int
    receptive_field: int
    paper: str


def command(
    name: Annotated[str | None, typer.Argument(help="One network, layer by layer.")] = None,
    width: Annotated[float, typer.Option(help="Channel multiplier.")] = 1.0,
    resolution: Annotated[
        str | None, typer.Option(metavar="R|HxW", help="Input size; the network's by default.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """List the zoo, or one network layer by layer, with parameters and MACs."""
    if name is None:
        _list(json)
    else:
        _layers(name, width, resolution, json)


def zoo() -> list[Row]:
    """Every network of the zoo, measured from the network itself."""
    from edgecnn.models import ZOO, build
    from edgecnn.models.cost import cost, receptive_field

    rows = []
    for name, entry in ZOO.items():
        network = build(name)
        size = cost(network, (entry.channels, entry.resolution, entry.resolution))
        rows.append(
            Row(
                name=name,
                family=entry.family,
                year=entry.year,
                depth=entry.depth,
                parameters=size.parameters,
                macs=size.macs,
                resolution=entry.resolution,
                receptive_field=receptive_field(network, entry.channels),
                paper=entry.paper,
            )
        )
    return rows


def _list(json: str | None) -> None:
    from rich.table import Table

    rows = zoo()
    table = Table("name", "family", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for column in ("year", "depth", "parameters", "MACs (M)", "input (px)", "sees (px)"):
        table.add_column(column, justify="right")
    for r in rows:
        size = (f"{r.parameters:,}", f"{r.macs / 1e6:,.1f}", f"{r.resolution}")
        table.add_row(r.name, r.family, f"{r.year}", f"{r.depth}", *size, f"{r.receptive_field}")
    console(json).print(table)
    write_result(rows, json)


def _layers(name: str, width: float, resolution: str | None, json: str | None) -> None:
    from rich.table import Table

    from edgecnn.commands.train import parse_resolution
    from edgecnn.models.cost import cost
    from edgecnn.models.registry import build, check_resolution, entry

    row = entry(name)
    height, wide = parse_resolution(resolution) if resolution else (row.resolution,) * 2
    check_resolution(name, height, wide)
    size: Cost = cost(build(name, width=width), (row.channels, height, wide))
    table = Table("layer", "kind", "output", box=None, header_style="bold")
    for column in ("parameters", "MACs"):
        table.add_column(column, justify="right")
    for layer in size.layers:
        shape = "x".join(str(n) for n in layer.output)
        table.add_row(layer.name, layer.kind, shape, f"{layer.parameters:,}", f"{layer.macs:,}")
    table.add_section()
    table.add_row(
        f"{name}, width {width:g}, {height}x{wide}",
        "",
        "",
        f"{size.parameters:,}",
        f"{size.macs:,}",
    )
    console(json).print(table)
    write_result({"name": name, "width": width, "resolution": (height, wide), "cost": size}, json)
