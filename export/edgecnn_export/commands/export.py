"""`edgecnn export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_export.export import Exported, ExportResult
    from edgecnn_export.filters import FilterExport
    from edgecnn_export.verdict import Verdict

TABLE_ROWS = 10


def command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Run, zoo name, filter:NAME, torchvision:NAME or .onnx; several answer as one.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="The bundle to write.")],
    width: Annotated[float, typer.Option(help="Channel multiplier of a zoo name.")] = 1.0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Of a filter, such as tau=5; repeatable."),
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="R|HxW", help="Input size; the model's by default.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="A list of fp32, fp16, bf16, int8 (TensorRT) and int8-cpu.")
    ] = "fp32",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Images for calibration, parity and verdict; the run's own."
        ),
    ] = None,
    calibration: Annotated[
        str, typer.Option(help="Of INT8: minmax, entropy, percentile, or auto for the best.")
    ] = "auto",
    calibration_images: Annotated[int, typer.Option(min=1, help="Of the training split.")] = 500,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Points of top-1 that INT8 may lose; 0.5 where labels are known."),
    ] = None,
    qat_epochs: Annotated[
        int, typer.Option(min=0, help="Of fine-tuning a run in INT8, where it loses more.")
    ] = 0,
    sensitivity: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw what each layer costs in INT8."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A text file, one label a line.")] = None,
    mean: Annotated[str | None, typer.Option(help="Scale 0 to 1: 0.485,0.456,0.406")] = None,
    std: Annotated[str | None, typer.Option(help="Scale 0 to 1: 0.229,0.224,0.225")] = None,
    color: Annotated[str | None, typer.Option(help="bgr, rgb or gray.")] = None,
    resize: Annotated[str | None, typer.Option(help="crop, stretch, letterbox or pad.")] = None,
    invert: Annotated[
        bool, typer.Option("--invert", help="The camera sees dark on light.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="A file of weights, for torchvision:NAME or a zoo name.")
    ] = None,
    opset: Annotated[int, typer.Option(help="Of ONNX; 17 is safe for JetPack 6.")] = 17,
    logits: Annotated[
        bool, typer.Option("--logits", help="A second output, before the softmax.")
    ] = False,
    top_k: Annotated[
        int | None,
        typer.Option(metavar="K", help="Two more outputs: the K best probabilities and classes."),
    ] = None,
    frame: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Take camera frames of this size as they are: 480x640."),
    ] = None,
    random: Annotated[
        bool, typer.Option("--random", help="Untrained weights, to measure speed.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights.")] = 0,
    crops: Annotated[
        str, typer.Option(help="Answer with the mean over: center, flip, five or ten.")
    ] = "center",
    json: JsonOption = None,
) -> None:
    """Export MODEL to ONNX with its preprocessing inside, and prove that the answers are equal.

    Of several MODELs, and of several crops, the bundle answers with the mean of the probabilities.
    """
    from edgecnn.commands.train import parse_resolution
    from edgecnn.filters import parse_settings
    from edgecnn.visualization.pictures import check_picture
    from edgecnn_export.combine import open_sources
    from edgecnn_export.export import export
    from edgecnn_export.filters import export_filter
    from edgecnn_export.int8 import Int8Options
    from edgecnn_export.precisions import INT8, parse_precisions
    from edgecnn_export.sources import Options
    from edgecnn_export.to_onnx import GraphOptions

    graph = GraphOptions(
        opset=opset,
        logits=logits,
        top_k=top_k,
        frame=parse_resolution(frame) if frame else None,
    )
    precisions = parse_precisions(precision)
    int8 = Int8Options(
        calibration=calibration,
        images=calibration_images,
        max_drop=max_drop,
        qat_epochs=qat_epochs,
        sensitivity=sensitivity is not None,
    )
    if int8 != Int8Options() and not set(precisions) & set(INT8):
        raise InputError(
            f"--precision {precision} has no INT8 to calibrate; add int8 or int8-cpu, or leave out"
            " the options for it"
        )
    if sensitivity:
        check_picture(sensitivity)
    people = console(json)
    if len(models) == 1 and models[0].startswith("filter:"):
        given = {
            "--width": width != 1.0,
            "--random": random,
            "--invert": invert,
            "--resolution": resolution,
            "--data": data,
            "--labels": labels,
            "--mean": mean,
            "--std": std,
            "--color": color,
            "--resize": resize,
            "--weights": weights,
            "--logits": logits,
            "--top-k": top_k is not None,
            "--frame": frame,
            "--precision": precisions != ("fp32",),
            "--crops": crops != "center",
        }
        _refuse_for_filters(given)
        name = models[0].removeprefix("filter:")
        result = export_filter(name, out, settings=parse_settings(settings or []), opset=opset)
        _print_filter(result, out, people)
        write_result(result, json)
        return
    if settings:
        raise InputError(f"--set {settings[0]} goes with filter:NAME; got {', '.join(models)}")
    options = Options(
        width=width,
        resolution=parse_resolution(resolution) if resolution else None,
        labels=read_labels(labels) if labels else None,
        mean=_numbers("mean", mean),
        std=_numbers("std", std),
        color=color,
        resize=resize,
        invert=invert,
        weights=weights,
        random=random,
        seed=seed,
    )
    source = open_sources(models, options, crops)
    exported = export(source, out, data=data, options=graph, precisions=precisions, int8=int8)
    if source.weights == "random":
        people.print(
            "[bold red]RANDOM WEIGHTS[/]: this bundle shows speed, its labels mean nothing"
        )
    if "warning" in source.provenance:
        people.print(f"WARNING: {source.provenance['warning']}", markup=False)
    if graph.frame:
        height, across = graph.frame
        people.print(
            f"takes BGR frames of {height}x{across} (height x width) as the camera gives them"
        )
    for artifact in exported.artifacts:
        agreement = artifact.parity
        people.print(
            f"{out / artifact.file}: {artifact.bytes / 1e6:.2f} MB; parity with the model on"
            f" {agreement.frames} images: largest difference {agreement.max_abs:.1e}, top-1"
            f" agreement {agreement.top1_agreement:.4f}"
        )
        _print_precision(artifact, people)
    if sensitivity:
        _show_sensitivity(exported, sensitivity, people)
    if exported.verdict:
        _print_verdict(exported.verdict, people)
    write_result(exported, json)


def _print_precision(artifact: Exported, people: Console) -> None:
    """How it was calibrated, and what was not converted."""
    found, why = artifact.calibration, f"{artifact.precision} has not their values or operators"
    if found:
        people.print(f"  calibrated by {found.method} on {found.images} of {found.source}")
        why = "eight bits cost too much there"
    if artifact.kept:
        people.print(f"  in FP32, since {why}: {', '.join(artifact.kept)}")


def _show_sensitivity(exported: ExportResult, path: Path, people: Console) -> None:
    """The worst layers as a table, all of them as a picture."""
    from rich.table import Table

    from edgecnn.visualization.pictures import save_picture
    from edgecnn.visualization.sensitivity import draw_sensitivity
    from edgecnn_export.sensitivity import worst_first

    (artifact, *_) = (a for a in exported.artifacts if a.calibration)
    costs = [(cost.layer, cost.divergence) for cost in exported.sensitivity]
    title = f"{exported.bundle}: what each layer costs in {artifact.precision}"
    save_picture(draw_sensitivity(costs, title=title, kept=artifact.kept), path)
    table = Table("layer alone in INT8", box=None, header_style="bold")
    table.add_column("KL divergence", justify="right")
    table.add_column("points of top-1 lost", justify="right")
    for cost in worst_first(exported.sensitivity)[:TABLE_ROWS]:
        table.add_row(cost.layer, f"{cost.divergence:.2e}", f"{cost.top1_points:.1f}")
    people.print(table)
    people.print(f"all {len(costs)} layers: {path}")


def _print_verdict(verdict: Verdict, people: Console) -> None:
    from rich.table import Table

    table = Table("precision", box=None, header_style="bold")
    for column in ("top-1", "p50, ms", "times the first", "95%"):
        table.add_column(column, justify="right")
    for row in verdict.rows:
        low, high = row.interval
        table.add_row(
            row.precision,
            f"{row.top1:.4f}",
            f"{row.p50_ms:.3f}",
            f"{row.ratio:.2f}",
            f"{low:.2f} to {high:.2f}",
        )
    people.print(f"on {verdict.images} held-out images, and on {verdict.device}:", markup=False)
    people.print(table)
    people.print(f"[bold]{verdict.why}[/]")


def _refuse_for_filters(given: Mapping[str, object]) -> None:
    option = next((name for name, value in given.items() if value), None)
    if option:
        raise InputError(
            f"{option} does not go with a filter, which has no weights and takes frames of any size"
        )


def _print_filter(result: FilterExport, out: Path, people: Console) -> None:
    for artifact in result.artifacts:
        agreement = artifact.parity
        people.print(
            f"{out / artifact.file}: {artifact.bytes / 1e3:.1f} kB; parity with the filter on"
            f" {agreement.frames} images: largest difference {agreement.max_abs:g} of 255 levels,"
            f" {agreement.equal:.4%} of the values equal"
        )


def read_labels(path: Path) -> tuple[str, ...]:
    """One label a line; empty lines at the end are nothing.

    Raises:
        InputError: no such file, an empty or a doubled label.
    """
    if not path.is_file():
        raise InputError(f"no file of labels at {path}; expected text, one label a line")
    labels = tuple(line.strip() for line in path.read_text(encoding="utf-8").rstrip().split("\n"))
    if not all(labels):
        raise InputError(f"{path} has an empty line; expected one label a line")
    doubled = next((name for name in labels if labels.count(name) > 1), None)
    if doubled and len(labels) < 500:
        raise InputError(f"{path} has the label {doubled!r} twice")
    return labels


def _numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--{name} {text!r}; expected numbers such as 0.485,0.456,0.406") from None
