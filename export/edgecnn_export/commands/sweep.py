"""`edgecnn sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import BackendOption, JsonOption, console, write_result
from edgecnn_runtime.errors import CheckFailedError, InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgecnn_export.sweep.measure import Meter, Settings
    from edgecnn_export.sweep.plan import Plan
    from edgecnn_export.sweep.sweep import Sweep
    from edgecnn_export.sweep.trials import Trials


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where everything goes.")],
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A folder, or a name such as terrain.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="A network of 'edgecnn models'.")] = None,
    widths: Annotated[
        str | None, typer.Option(metavar="A,B", help="Multipliers; 1,0.75,0.5,0.25 by default.")
    ] = None,
    resolutions: Annotated[
        str | None, typer.Option(metavar="R,HxW", help="Input sizes; 224,192,160,128 by default.")
    ] = None,
    precisions: Annotated[
        str | None,
        typer.Option(help="fp32,int8-cpu by default; with --target fp32,fp16,int8."),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Compile engines for local, or a list such as sm86,sm89.")
    ] = "",
    compiler: Annotated[str, typer.Option(help="auto, tensorrt or tensorrt-rtx.")] = "auto",
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="In place of the recipe's.")] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="How to train; the data's by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes split, weights and order.")] = 0,
    supernet: Annotated[
        bool, typer.Option("--supernet", help="Train all widths as one network that they share.")
    ] = False,
    runs: Annotated[
        list[str] | None,
        typer.Option("--runs", metavar="RUN", help="Take these runs, train none; repeatable."),
    ] = None,
    budget_ms: Annotated[
        float | None, typer.Option(min=0, help="Pick the most accurate within this median.")
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(min=0, max=1, help="Pick the fastest with this top-1.")
    ] = None,
    measure: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Measure K networks, predict the others; 0: none."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="ssh://USER@HOST", help="Measure there, where edgecnn is installed."),
    ] = None,
    device_program: Annotated[
        str, typer.Option(metavar="PATH", help="The command edgecnn on the device.")
    ] = "edgecnn",
    backend: BackendOption = "auto",
    frames: Annotated[int, typer.Option(min=1, help="To measure, after the warm-up.")] = 300,
    jobs: Annotated[int, typer.Option(min=1, help="Networks to make at once, here.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Make them on a Ray cluster; local: --jobs workers."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each network made; all cores, shared by --jobs.")
    ] = None,
    device_threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads to measure with; all cores by default.")
    ] = None,
    calibration: Annotated[
        str, typer.Option(help="Of INT8: minmax, entropy, percentile, or auto for the best.")
    ] = "auto",
    calibration_images: Annotated[int, typer.Option(min=1, help="Of the training split.")] = 128,
    max_drop: Annotated[
        float,
        typer.Option(min=0, help="Points that INT8 may lose before layers stay in FP32."),
    ] = 100.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older sweep.")] = False,
    json: JsonOption = None,
) -> None:
    """Train, export and measure a family of networks, and pick the one that fits a budget.

    The same command goes on where it was stopped.
    """
    from edgecnn_export.sweep.measure import Settings
    from edgecnn_export.sweep.plan import Plan, grid, of_runs, precisions_for
    from edgecnn_export.sweep.sweep import sweep
    from edgecnn_export.sweep.write import write_files
    from edgecnn_runtime.latency.device import cores

    people = console(json)
    if budget_ms is not None and min_top1 is not None:
        raise InputError("--budget-ms and --min-top1 are two ways to choose; give one of them")
    if runs:
        _alone("--runs", {"--supernet": supernet, "--widths": widths, "--resolutions": resolutions})
        _alone("--runs", {"--epochs": epochs, "--batch": batch, "--recipe": recipe})
        name, trained_on, seed, points = of_runs(runs)
        if model not in (None, name):
            raise InputError(f"--model {model}, and the runs are of {name}; leave --model out")
        model, data = name, data or trained_on
    elif model is None or data is None:
        raise InputError("expected DATA and --model NAME, or runs that exist: --runs RUN for each")
    else:
        points = grid(model, widths, resolutions)
    plan = Plan(
        model=model,
        data=data,
        points=points,
        precisions=precisions_for(precisions, target),
        targets=target,
        compiler=compiler,
        epochs=epochs,
        batch=batch,
        recipe=recipe,
        seed=seed,
        supernet=supernet,
        threads=threads or max(1, cores() // jobs),
        calibration=calibration,
        calibration_images=calibration_images,
        max_drop=max_drop,
    )
    meter = _meter(device, device_program, Settings(frames, backend, device_threads), people)
    _check_compiler(plan)
    people.print(
        f"{model} on {data}: {len(points)} networks in {', '.join(plan.precisions)}, in {out}",
        markup=False,
    )
    found = sweep(
        out,
        plan,
        None if measure == 0 else meter,
        trials=_trials(jobs, ray),
        measure=measure or None,
        budget_ms=budget_ms,
        min_top1=min_top1,
        overwrite=overwrite,
        tell=lambda line: people.print(line, markup=False),
    )
    files = write_files(found, out, budget_ms=budget_ms, min_top1=min_top1)
    people.print(table(found))
    for problem in found.problems:
        people.print(f"MISSING: {problem}", markup=False)
    _say_predictions(found, people)
    people.print(f"in {out}: {', '.join(files)}", markup=False)
    write_result(found, json)
    _say_pick(found, budget_ms, min_top1, people)


def _alone(option: str, given: dict[str, object]) -> None:
    other = next((name for name, value in given.items() if value), None)
    if other:
        raise InputError(f"{other} does not go with {option}, which are trained already")


def _meter(device: str | None, program: str, settings: Settings, people: Console) -> Meter:
    from edgecnn_export.sweep.measure import Here
    from edgecnn_export.sweep.ssh import Ssh, parse_device

    if device is None:
        return Here(settings)
    remote = Ssh(parse_device(device), settings, program)
    people.print(f"{device} has {remote.check()}", markup=False)
    return remote


def _check_compiler(plan: Plan) -> None:
    """Say what is wrong with the targets before hours of training."""
    if not plan.targets:
        return
    from edgecnn_export.sweep.make import resolved_targets

    resolved_targets(plan)


def _trials(jobs: int, ray: str | None) -> Trials:
    from edgecnn_export.sweep.trials import OnRay, Processes, one_by_one

    if ray:
        return OnRay(ray, jobs)
    return Processes(jobs) if jobs > 1 else one_by_one


def table(found: Sweep) -> Table:
    """The variants as people read them in a terminal."""
    from rich.table import Table

    from edgecnn_export.sweep.report import millions, milliseconds, percent

    shown = Table("width", box=None, header_style="bold")
    columns = ("resolution", "precision", "M MACs", "M params", "top-1, %", "p50, ms")
    for column in columns:
        shown.add_column(column, justify="left" if column == "precision" else "right")
    shown.add_column("engines", justify="right")
    shown.add_column("front")
    for row in found.variants:
        engines = ", ".join(f"{e.bytes / 1e6:.2f} MB {e.target}" for e in row.engines)
        shown.add_row(
            f"{row.width:g}",
            str(row.resolution),
            row.precision,
            millions(row.macs),
            millions(row.parameters),
            percent(row.top1),
            milliseconds(row),
            engines,
            "*" if row.pareto else "",
            style="bold" if row == found.pick else None,
        )
    return shown


def _say_predictions(found: Sweep, people: Console) -> None:
    for p in found.predictions:
        if p.median_error is None or p.worst_error is None:
            continue
        people.print(
            f"latency model of {p.precision}: fitted to {p.measured}, {p.predicted} predicted;"
            f" leaving one out it is wrong by {p.median_error:.1%} in the median, at most by"
            f" {p.worst_error:.1%}"
        )


def _say_pick(
    found: Sweep, budget_ms: float | None, min_top1: float | None, people: Console
) -> None:
    """The last line; exit status 1 where no variant keeps the limit."""
    from edgecnn_export.sweep.report import told
    from edgecnn_export.sweep.table import promising

    if budget_ms is None and min_top1 is None:
        return
    other = promising(found.variants, found.pick, budget_ms=budget_ms, min_top1=min_top1)
    if other:
        people.print(f"worth measuring, by its predicted latency: {told(other)}", markup=False)
    if found.pick is None:
        limit = f"--budget-ms {budget_ms:g}" if budget_ms is not None else f"--min-top1 {min_top1}"
        raise CheckFailedError(
            f"no measured variant keeps {limit}; the table is written all the same"
        )
    people.print(f"pick: {told(found.pick)}", markup=False)
    people.print(f"  {found.pick.bundle}", markup=False)
