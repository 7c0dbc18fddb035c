"""`edgecnn visualize`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgecnn.commands.options import DataDirOption
from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from edgecnn.visualization.studio import Drawing, Studio
    from edgecnn.visualization.subject import Options


@dataclass(frozen=True)
class Visualized:
    """What was drawn.

    Attributes:
        pictures: files of PNG; `page` holds them all.
        figures: what stands beside a picture as a table, by the picture's name.
    """

    targets: tuple[str, ...]
    pictures: tuple[str, ...]
    page: str
    figures: dict[str, list[dict[str, str]]]


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="A run, torchvision:NAME or a zoo name; several runs or bundles for the chart.",
        ),
    ],
    what: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Of filters, evolution, features, deconv, receptive-field, grad-cam and chart,"
            " with commas; all that the network has by default.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; RUN/visualize by default.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A picture to show it; may repeat.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Where patches are searched; a run's own data by default.")
    ] = None,
    data_dir: DataDirOption = None,
    layer: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A layer to look at; may repeat.")
    ] = None,
    channels: Annotated[
        str | None, typer.Option(metavar="N,N", help="Channels to look at, from 0 on.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The class that Grad-CAM looks for; those called by default.")
    ] = None,
    rule: Annotated[
        Literal["deconv", "guided", "gradient"], typer.Option(help="How features are projected.")
    ] = "deconv",
    images: Annotated[int, typer.Option(min=9, help="Held-out images to search.")] = 1000,
    stimuli: Annotated[
        int | None,
        typer.Option(
            min=64, help="Noise pictures for receptive fields; 4,096, of a large network fewer."
        ),
    ] = None,
    width: Annotated[float, typer.Option(help="Of a zoo name: channel multiplier.")] = 1.0,
    resolution: Annotated[
        str | None, typer.Option(metavar="R|HxW", help="Of what is no run: input size.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="RUN|FILE|torchvision:NAME|timm:NAME", help="Of what is no run."),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Look at untrained weights.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of noise and of random weights.")] = 0,
    json: JsonOption = None,
) -> None:
    """Draw what a network has learned: filters, features, what excites them, where it looks."""
    from edgecnn.commands.train import parse_resolution
    from edgecnn.visualization.gallery import CHART, parse_kinds
    from edgecnn.visualization.page import check_folder, write_pages
    from edgecnn.visualization.subject import Options

    names = parse_kinds(what, targets)
    folder = out or _default_folder(targets)
    check_folder(folder)
    people = console(json)
    if names == (CHART,):
        title, warning, drawings = f"{len(targets)} networks", "", _chart(targets)
    else:
        options = Options(
            width=width,
            resolution=parse_resolution(resolution) if resolution else None,
            weights=weights,
            random=random,
            seed=seed,
        )
        studio = _studio(
            targets[0],
            options,
            names,
            data,
            data_dir,
            image or [],
            layers=tuple(layer or ()),
            channels=_numbers(channels),
            label=label,
            rule=rule,
            images=images,
            stimuli=stimuli,
            seed=seed,
        )
        title, warning = studio.subject.title, studio.subject.warning
        drawings = _drawings(studio, names, asked=what is not None, json=json)
    shown = " ".join(["edgecnn", *sys.argv[1:]])
    *pictures, page = write_pages(folder, drawings, title=title, command=shown, warning=warning)
    for drawing, picture in zip(drawings, pictures, strict=True):
        people.print(f"{drawing.title}: {picture}", markup=False)
        _print_table(drawing, json)
    if warning:
        people.print(f"WARNING: {warning}", markup=False)
    people.print(f"all on one page: {page}", markup=False)
    figures = {d.name: _as_dicts(d.table) for d in drawings if d.table}
    write_result(
        Visualized(tuple(targets), tuple(str(p) for p in pictures), str(page), figures), json
    )


def _default_folder(targets: list[str]) -> Path:
    from edgecnn.training.run import is_run

    if len(targets) == 1 and is_run(targets[0]):
        return Path(targets[0]) / "visualize"
    raise InputError(
        f"{' '.join(targets)}: no run folder to put the pictures in; name a folder with --out"
    )


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise InputError(
            f"channels {text!r}; expected numbers with commas, such as 0,5,7"
        ) from None


def _chart(targets: list[str]) -> list[Drawing]:
    from edgecnn.visualization.chart import draw_chart, read_points

    return [draw_chart(read_points(targets))]


def _studio(
    target: str,
    options: Options,
    names: tuple[str, ...],
    data: str | None,
    data_dir: Path | None,
    files: list[Path],
    **chosen: object,
) -> Studio:
    from edgecnn.visualization.gallery import OF_WEIGHTS
    from edgecnn.visualization.shown import choose_pictures
    from edgecnn.visualization.studio import Studio
    from edgecnn.visualization.subject import load_subject_data, open_subject

    subject = open_subject(target, options)
    needed = not set(names) <= set(OF_WEIGHTS)
    loaded = load_subject_data(subject, data, data_dir) if needed else None
    shown = choose_pictures(tuple(files), loaded)
    return Studio(subject, shown, loaded, **chosen)  # type: ignore[arg-type]


def _drawings(
    studio: Studio, names: tuple[str, ...], *, asked: bool, json: str | None
) -> list[Drawing]:
    from rich.progress import track

    from edgecnn.visualization.gallery import draw

    bar = track(names, "looking", console=console(json), transient=True)
    return [drawing for name in bar for drawing in draw(studio, [name], asked=asked)]


def _print_table(drawing: Drawing, json: str | None) -> None:
    from rich.table import Table

    if not drawing.table:
        return
    first, *others = drawing.table[0]
    table = Table(first, box=None, header_style="bold")
    for name in others:
        table.add_column(name, justify="right")
    for row in drawing.table[1:]:
        table.add_row(*row)
    console(json).print(table)


def _as_dicts(table: tuple[tuple[str, ...], ...]) -> list[dict[str, str]]:
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]
