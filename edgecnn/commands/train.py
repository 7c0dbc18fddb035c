"""`edgecnn train`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn.data import DataSet
    from edgecnn.training.run import Run


def command(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A name, such as terrain, or a folder.")
    ],
    model: Annotated[str, typer.Option(help="A network of 'edgecnn models'.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="The run folder to make.")],
    width: Annotated[float, typer.Option(help="Channel multiplier.")] = 1.0,
    resolution: Annotated[
        str | None, typer.Option(metavar="R|HxW", help="Input size; the network's by default.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How to train; the data's by default.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="RUN|FILE|torchvision:NAME|timm:NAME", help="Weights to start from."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak rate, in place of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes split, weights and order.")] = 0,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where named data sets lie; $EDGECNN_DATA or a cache by default."),
    ] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Go on without broken images, and list them.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Keep decoded, smaller copies of the training images.")
    ] = False,
    cache_limit: Annotated[float, typer.Option(min=0, help="GB of such copies.")] = 20.0,
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs of a machine, or processes on its CPU.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines that train together.")] = 1,
    accelerator: Annotated[str, typer.Option(metavar="auto|cpu|gpu", help="To train on.")] = "auto",
    checkpoint_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints, beside those of epochs.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished RUN.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older RUN.")] = False,
    json: JsonOption = None,
) -> None:
    """Train a network on DATA and leave a run folder that says how it was made."""
    from edgecnn.commands.data_report import report
    from edgecnn.data import load_data
    from edgecnn.models.cost import parameters
    from edgecnn.models.registry import entry
    from edgecnn.training.fit import fit, precision, replace_run
    from edgecnn.training.processes import Processes
    from edgecnn.training.recipe import load_recipe

    processes = Processes(accelerator, devices, nodes)
    people = console(json)
    people.quiet = not processes.first
    entry(model)  # wrong names are said before a download
    load_recipe(recipe or "default")
    loaded = load_data(data, seed, data_dir=data_dir, skip_broken=skip_broken)
    run = describe(
        loaded,
        model,
        width=width,
        resolution=resolution,
        recipe=recipe,
        init=init,
        epochs=epochs,
        batch=batch,
        lr=lr,
        seed=seed,
        cache=cache,
    )
    processes.check(run.recipe.batch_size)
    if overwrite and not resume and processes.first:
        replace_run(out)
    people.print(
        f"{run.model}, width {run.width:g}, {run.input.height}x{run.input.width},"
        f" {parameters(run.network()):,} parameters; {len(loaded.train)} images to train and"
        f" {len(loaded.val)} held out, {len(run.labels)} classes, {run.recipe.epochs} epochs"
    )
    report(loaded, people)
    if line := processes.said(run.recipe.batch_size, run.recipe.lr):
        people.print(line)
    if run.recipe.amp and precision(run.recipe, processes) == "32-true":
        people.print("the recipe's amp is for GPUs, and there is none: training in FP32")
    if run.cache is not None and processes.first_here:
        _fill(loaded, run, cache_limit, people)
    result = fit(
        run,
        loaded,
        out,
        resume=resume,
        checkpoint_steps=checkpoint_steps,
        processes=processes,
    )
    people.print(
        f"top-1 [bold]{result.top1:.3f}[/bold], top-5 {result.top5:.3f} on the held-out images;"
        f" {result.seconds:.0f} s, {result.images_per_second:.0f} images/s; run in {out}"
    )
    if processes.first:
        write_result(result, json)


def describe(
    data: DataSet,
    model: str,
    *,
    width: float = 1.0,
    resolution: str | None = None,
    recipe: str | None = None,
    init: str | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    cache: bool = False,
) -> Run:
    """What to train; what is not said is the default of the network or of the data.

    Raises:
        InputError: an unknown name, or a size or a loss that the network does not take.
    """
    from edgecnn.models.registry import build, check_resolution, entry
    from edgecnn.training.initial import initialise
    from edgecnn.training.inputs import input_for
    from edgecnn.training.loading import copy_side
    from edgecnn.training.loss import check_loss
    from edgecnn.training.recipe import load_recipe
    from edgecnn.training.run import Run
    from edgecnn.training.start import set_dropout

    row = entry(model)
    height, wide = parse_resolution(resolution) if resolution else (row.resolution,) * 2
    check_resolution(model, height, wide)
    network = build(model, width=width, num_classes=len(data.labels))
    if init:
        initialise(network, model, init)  # what does not fit is said before a folder is made
    settings = load_recipe(recipe or data.recipe).changed(epochs=epochs, batch_size=batch, lr=lr)
    check_loss(settings.loss, network, model)
    set_dropout(network, settings.dropout)
    spec = input_for(data, height, wide, row.channels)
    side = copy_side(data.train, spec, settings.augment) if cache else None
    return Run(
        model=model,
        width=width,
        input=spec,
        labels=data.labels,
        data=data.name,
        seed=seed,
        recipe=settings,
        init=init,
        cache=side,
    )


def _fill(data: DataSet, run: Run, limit: float, people: Console) -> None:
    """Make the decoded copies, and say what they take."""
    from rich.progress import track

    from edgecnn.data.resized import fill, resized

    assert run.cache is not None
    split = resized(data.train, run.cache, run.input.interpolation)

    def bar(steps: Sequence[int]) -> Iterable[int]:
        return track(steps, "decoding", console=people, transient=True)

    filled = fill(split, limit, bar if people.is_terminal else list)
    without = len(split) - filled.images
    people.print(
        f"decoded copies of {filled.images} images ({filled.made} new) with a shorter side of"
        f" {run.cache} pixels: {filled.bytes / 1e6:,.1f} MB in {split.folder}"
        + (f"; {without} more go beyond the limit of {limit:g} GB" if without else "")
    )


def parse_resolution(text: str) -> tuple[int, int]:
    """`224` or `48x192` -> (height, width).

    Raises:
        InputError: anything else.
    """
    parts = text.lower().split("x")
    if len(parts) in (1, 2) and all(p.isdigit() and 0 < int(p) <= 16384 for p in parts):
        return int(parts[0]), int(parts[-1])
    raise InputError(f"resolution {text!r}; expected R or HxW in pixels, such as 224 or 48x192")
