"""`edgecnn train`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.commands.options import DataDirOption
from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from lightning import Callback
    from rich.console import Console
    from torch import nn

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
    freeze: Annotated[
        int | None,
        typer.Option(
            metavar="EPOCHS", min=0, help="With --init: first train the last layer alone so long."
        ),
    ] = None,
    distill: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Learn its answers too, those of a larger network."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of --distill, in place of the recipe's.")
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="The share of --distill in the loss; the labels have the rest."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak rate, in place of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes split, weights and order.")] = 0,
    data_dir: DataDirOption = None,
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
    snapshots: Annotated[
        bool,
        typer.Option(
            "--snapshots", help="Keep the first layer's weights of each epoch, to look at."
        ),
    ] = False,
    snapshot_layer: Annotated[
        list[str] | None, typer.Option(metavar="LAYER", help="Keep this layer's as well.")
    ] = None,
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
    if distill is None and (temperature, alpha) != (None, None):
        raise InputError("--temperature and --alpha belong to --distill; name the run that teaches")
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
        freeze=freeze,
        distill=distill,
        temperature=temperature,
        alpha=alpha,
        epochs=epochs,
        batch=batch,
        lr=lr,
        seed=seed,
        cache=cache,
    )
    watchers = _watchers(run, out, snapshots, snapshot_layer or [])
    processes.check(run.recipe.batch_size)
    if overwrite and not resume and processes.first:
        replace_run(out)
    network = run.network()
    people.print(
        f"{run.model}, width {run.width:g}, {run.input.height}x{run.input.width},"
        f" {parameters(network):,} parameters; {len(loaded.train)} images to train and"
        f" {len(loaded.val)} held out, {len(run.labels)} classes, {run.recipe.all_epochs} epochs"
    )
    for origin in _starts_from(run, loaded, network):
        people.print(origin, markup=False)
    del network  # training builds its own
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
        watchers=watchers,
        checkpoint_steps=checkpoint_steps,
        processes=processes,
    )
    people.print(
        f"top-1 [bold]{result.top1:.3f}[/bold], top-5 {result.top5:.3f} on the held-out images;"
        f" {result.seconds:.0f} s, {result.images_per_second:.0f} images/s; run in {out}"
    )
    if processes.first:
        write_result(result, json)


def _watchers(run: Run, out: Path, snapshots: bool, layers: list[str]) -> list[Callback]:
    from edgecnn.training.snapshots import Snapshots, snapshot_layers

    if not snapshots and not layers:
        return []
    return [Snapshots(out, snapshot_layers(run.network(), layers))]


def describe(
    data: DataSet,
    model: str,
    *,
    width: float = 1.0,
    resolution: str | None = None,
    recipe: str | None = None,
    init: str | None = None,
    freeze: int | None = None,
    distill: str | None = None,
    temperature: float | None = None,
    alpha: float | None = None,
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
    import msgspec

    from edgecnn.models.registry import build, check_resolution, entry
    from edgecnn.training.initial import initialise, normalisation
    from edgecnn.training.inputs import input_for
    from edgecnn.training.loading import copy_side
    from edgecnn.training.loss import check_loss
    from edgecnn.training.recipe import load_recipe
    from edgecnn.training.run import Run
    from edgecnn.training.start import set_dropout
    from edgecnn.training.teacher import teacher_of

    row = entry(model)
    height, wide = parse_resolution(resolution) if resolution else (row.resolution,) * 2
    check_resolution(model, height, wide)
    network = build(model, width=width, num_classes=len(data.labels))
    if init:
        # What does not fit is said before a folder is made.
        initialise(network, model, init, width)
    settings = load_recipe(recipe or data.recipe).changed(
        epochs=epochs,
        batch_size=batch,
        lr=lr,
        transfer={"freeze_epochs": freeze},
        distill={"temperature": temperature, "alpha": alpha},
    )
    if settings.transfer.freeze_epochs and not init:
        raise InputError(
            "freezing trains the last layer on what the others have learned before; expected"
            " weights that have, --init, or leave out --freeze"
        )
    check_loss(settings.loss, network, model)
    set_dropout(network, settings.dropout)
    spec = input_for(data, height, wide, row.channels)
    if init:
        spec = msgspec.structs.replace(spec, **normalisation(model, init))
    side = copy_side(data.train, spec, settings.augment) if cache else None
    run = Run(
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
    return msgspec.structs.replace(run, teacher=teacher_of(distill, run)) if distill else run


def _starts_from(run: Run, data: DataSet, network: nn.Module) -> list[str]:
    """What `--init`, `--freeze` and `--distill` do, for people to read."""
    from edgecnn.training.initial import initialise
    from edgecnn.training.run import had_another_split, is_run, read_run
    from edgecnn.training.teacher import load_teacher, macs

    said = []
    if run.init:
        fresh = initialise(network, run.model, run.init, run.width)
        loaded = sum(p.numel() for name, p in network.named_parameters() if name not in fresh)
        left = f"fresh are {', '.join(fresh)}" if fresh else "nothing is fresh"
        said.append(f"starts from {run.init}: {loaded:,} weights loaded, {left}")
    if frozen := run.recipe.transfer.freeze_epochs:
        said.append(
            f"{frozen} epochs of the head alone, batch norm as it is, then {run.recipe.epochs} of"
            " all layers"
        )
    if (teacher := load_teacher(run)) and run.teacher:
        settings = run.recipe.distill
        share = teacher.macs / (3 * macs(network, run.input))  # a step is forward and twice back
        said.append(
            f"learns from {run.teacher.run} ({run.teacher.model}, width {run.teacher.width:g}):"
            f" temperature {settings.temperature:g}, alpha {settings.alpha:g}; its answers add"
            f" about {share:.0%} to the arithmetic of a step"
        )
    sources = (run.init, run.teacher.run if run.teacher else None)
    return said + [
        f"{source} had another split of {run.data}: it may have learned what is held out here,"
        f" which is then no measure; split alike by --seed {read_run(source).seed}"
        for source in sources
        if source and is_run(source) and had_another_split(source, data)
    ]


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
