"""`edgecnn models`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from edgecnn.models import Entry
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
    activations: int
    peak_activation_bytes: int
    paper: str


def command(
    name: Annotated[
        str | None, typer.Argument(help="One network, layer by layer; filter: lists the filters.")
    ] = None,
    width: Annotated[float, typer.Option(help="Channel multiplier.")] = 1.0,
    resolution: Annotated[
        str | None, typer.Option(metavar="R|HxW", help="Input size; the network's by default.")
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw the zoo's timeline, or the network's volumes: .png or .svg."
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """List the zoo, or one network layer by layer, with parameters and MACs."""
    if name is not None and name.startswith("filter:"):
        from edgecnn.commands.filters import list_filters

        _refuse_for_filters(draw=draw, resolution=resolution, width=None if width == 1.0 else width)
        list_filters(name.removeprefix("filter:"), json)
        return
    if draw is not None:
        from edgecnn.visualization.pictures import check_picture

        check_picture(draw)
    if name is None:
        _list(draw, json)
    else:
        _layers(name, width, resolution, draw, json)


def _refuse_for_filters(**given: object) -> None:
    option = next((name for name, value in given.items() if value is not None), None)
    if option:
        raise InputError(f"--{option} does not go with a filter, which takes frames of any size")


def _row(name: str, entry: Entry) -> Row:
    size = _measure(_build(name), entry, (entry.resolution, entry.resolution))
    assert size.receptive_field is not None
    return Row(
        name=name,
        family=entry.family,
        year=entry.year,
        depth=entry.depth,
        parameters=size.parameters,
        macs=size.macs,
        resolution=entry.resolution,
        receptive_field=size.receptive_field,
        activations=size.activations,
        peak_activation_bytes=size.peak_activation_bytes,
        paper=entry.paper,
    )


def _build(name: str, width: float = 1.0) -> nn.Module:
    """Without weights: on the meta device a network has shapes and nothing else."""
    import torch

    from edgecnn.models.registry import build

    with torch.device("meta"):
        return build(name, width=width)


def _measure(network: nn.Module, entry: Entry, size: tuple[int, int]) -> Cost:
    from edgecnn.models.cost import cost

    return cost(network, (entry.channels, *size))


def _list(draw: Path | None, json: str | None) -> None:
    from rich.progress import track
    from rich.table import Table

    from edgecnn.models import ZOO

    people = console(json)
    bar = track(ZOO.items(), "measuring", console=people, transient=True)
    rows = [_row(name, entry) for name, entry in bar]
    table = Table("name", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for column in ("year", "depth", "parameters", "MACs (M)", "input", "sees (px)", "MB"):
        table.add_column(column, justify="right")
    for r in rows:
        table.add_row(
            r.name,
            f"{r.year}",
            f"{r.depth}",
            f"{r.parameters:,}",
            f"{r.macs / 1e6:,.1f}",
            f"{r.resolution}",
            f"{r.receptive_field}",
            f"{r.peak_activation_bytes / 1e6:,.1f}",
        )
    people.print(table)
    people.print("sees: receptive field; MB: activations at their peak, one image in float32")
    people.print("'edgecnn models filter:' lists the filters")
    if draw is not None:
        from edgecnn.visualization.timeline import plot_timeline

        plot_timeline(rows, draw)
        people.print(f"timeline in {draw}")
    write_result(rows, json)


def _layers(
    name: str, width: float, resolution: str | None, draw: Path | None, json: str | None
) -> None:
    from rich.table import Table

    from edgecnn.commands.train import parse_resolution
    from edgecnn.models.registry import check_resolution, entry

    row = entry(name)
    height, wide = parse_resolution(resolution) if resolution else (row.resolution,) * 2
    check_resolution(name, height, wide)
    network = _build(name, width)
    size = _measure(network, row, (height, wide))
    scaled = f", width {width:g}" if row.has_width else ""
    which = f"{name}{scaled}, {height}x{wide}"
    table = Table("layer", "kind", "output", box=None, header_style="bold")
    for column in ("parameters", "MACs", "activations", "sees (px)", "stride"):
        table.add_column(column, justify="right")
    for layer in size.layers:
        table.add_row(
            layer.name,
            layer.kind,
            "x".join(str(n) for n in layer.output),
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
            f"{layer.activations:,}",
            "" if layer.receptive_field is None else f"{layer.receptive_field}",
            "" if layer.stride is None else f"{layer.stride}",
        )
    table.add_section()
    table.add_row(
        which,
        "",
        f"at most {size.peak_activation_bytes / 1e6:,.1f} MB",
        f"{size.parameters:,}",
        f"{size.macs:,}",
        f"{size.activations:,}",
    )
    people = console(json)
    people.print(table)
    if draw is not None:
        from edgecnn.models.volumes import volumes
        from edgecnn.visualization.volumes import plot_volumes

        costs = f"{size.parameters:,} parameters, {size.macs / 1e6:,.1f} M MACs"
        shape = (row.channels, height, wide)
        plot_volumes(volumes(network, shape), draw, title=f"{which}: {costs}")
        people.print(f"volumes in {draw}")
    write_result({"name": name, "width": width, "resolution": (height, wide), "cost": size}, json)
