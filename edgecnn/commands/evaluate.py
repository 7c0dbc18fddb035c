"""`edgecnn evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import BackendError, InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgecnn.data import DataSet
    from edgecnn.evaluation.judgement import Judgement, Through
    from edgecnn.evaluation.predict import Answerer, Frame, Predict
    from edgecnn.models.activity import LayerActivity
    from edgecnn_runtime.classifier import Classifier

    Opened = tuple[Answerer, tuple[str, ...], int, str]


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="Run, bundle or .onnx; several answer together, as their mean.",
        ),
    ],
    data: Annotated[str, typer.Argument(metavar="DATA", help="terrain, mnist5k or a folder.")],
    manifest: Annotated[
        Path | None,
        typer.Option(help="manifest.json of a bare .onnx; its own folder's by default."),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Which graph of a bundle.")] = None,
    backend: Annotated[str, typer.Option(help="What runs a bundle.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split; a run's own by default.")
    ] = None,
    crops: Annotated[
        str,
        typer.Option(
            metavar="center|flip|five|ten|144|multiscale",
            help="Average over several looks at each picture.",
        ),
    ] = "center",
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Each TARGET by itself, and against the first, image by image."
        ),
    ] = False,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="brightness|size|FILE.csv",
            help="Top-1 of parts of the images; a CSV has the column file and your own.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a report as one page; report.html of a run's folder by default.",
        ),
    ] = None,
    mistakes: Annotated[
        int, typer.Option(min=0, max=500, help="How many are told and shown, the worst first.")
    ] = 24,
    activity: Annotated[
        bool, typer.Option("--activity", help="Of a run: how sparse and redundant each layer is.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Measure runs, bundles or ONNX files on the held-out images of DATA."""
    from edgecnn.data import load_data
    from edgecnn.evaluation.crops import ensemble, with_crops
    from edgecnn.evaluation.judgement import judge
    from edgecnn.evaluation.report import Subject, check_report, write_report
    from edgecnn.evaluation.slices import check_slices
    from edgecnn.evaluation.tables import figures, parts

    _check_options(targets, compare=compare, activity=activity, html=html)
    check_slices(slices or [])
    if html:
        check_report(html)
    opened = [_open(target, manifest, precision, backend) for target in targets]
    loaded = load_data(data, opened[0][2] if seed is None else seed)
    for target, (_, labels, _, _) in zip(targets, opened, strict=True):
        _check_labels(target, labels, data, loaded.labels)
    warnings = _remarks(targets, opened, seed)
    predicts = [with_crops(answerer, crops) for answerer, _, _, _ in opened]
    out = console(json)

    def judged(predict: Predict, name: str) -> Judgement:
        through = _progress(len(loaded.val), name)
        return judge(predict, loaded, sliced=slices or [], mistakes=mistakes, through=through)

    if compare:
        found = [judged(predict, name) for predict, name in zip(predicts, targets, strict=True)]
        result = _compare(out, targets, data, found, warnings)
        write_result({**result, "crops": crops}, json)
        return
    name, parameters = " + ".join(targets), sum(a.parameters for a, _, _, _ in opened)
    whole = judged(ensemble(predicts), name)
    out.print(f"{name} on {whole.metrics.images} held-out images of {data}", markup=False)
    out.print(figures(whole, parameters))
    if whole.slices:
        out.print(parts(whole.slices))
    _warn(out, [*warnings, *whole.warnings])
    result = {
        "target": name,
        "targets": targets,
        "data": data,
        "crops": crops,
        "parameters": parameters,
        "top1_per_million_parameters": whole.metrics.top1 / (parameters / 1e6),
        **whole.as_result(),
        "warnings": [*warnings, *whole.warnings],
    }
    if activity:
        layers = _activity(targets[0], loaded)
        out.print(_layers(layers))
        out.print("sparsity: share of exact zeros; redundancy: units for each number of the input")
        result["activity"] = layers
    report = html or _own_report(targets)
    if report:
        subject = Subject(name, data, parameters, crops, tuple(warnings))
        write_report(report, whole, subject, loaded.val)
        out.print(f"report: {report}", markup=False)
        result["report"] = str(report)
    write_result(result, json)


def _check_options(targets: list[str], *, compare: bool, activity: bool, html: Path | None) -> None:
    if activity:
        for target in targets:
            _check_run(target)
        if len(targets) > 1:
            raise InputError(f"--activity is of one run, got {len(targets)}; name one of them")
    if compare and len(targets) < 2:
        raise InputError("--compare of one TARGET; name two or more before DATA")
    if compare and html:
        raise InputError("--compare writes no report; leave out --html, or evaluate each by itself")


def _check_labels(
    target: str, labels: tuple[str, ...], data: str, expected: tuple[str, ...]
) -> None:
    if labels != expected:
        raise InputError(
            f"{data} has the labels {_some(expected)}; {target} answers with {_some(labels)}"
        )


def _remarks(targets: list[str], opened: list[Opened], seed: int | None) -> list[str]:
    """What their makers warn of, and that one may have learned what another held out."""
    said = [warning for _, _, _, warning in opened if warning]
    seeds = {target: own for target, (_, _, own, _) in zip(targets, opened, strict=True)}
    if len(set(seeds.values())) > 1:
        told = ", ".join(f"{target}: {own}" for target, own in seeds.items())
        used = opened[0][2] if seed is None else seed
        said.append(
            f"the splits' seeds differ ({told}), measured on that of seed {used}: what one held out"
            " another may have learned"
        )
    return said


def _compare(
    out: Console, targets: list[str], data: str, found: list[Judgement], remarks: list[str]
) -> dict[str, object]:
    """Print what parts each from the first, and make the result of `--json`."""
    from edgecnn.evaluation.intervals import compare
    from edgecnn.evaluation.tables import comparison

    first, *later = found
    against = [compare(first.right, judgement.right) for judgement in later]
    warnings = [*remarks, *first.warnings]
    out.print(f"{len(found)} on the same {first.metrics.images} held-out images of {data}")
    out.print(comparison(targets, found, against))
    out.print("gained, lost: images that only it has right, and only the first; p: McNemar's test")
    _warn(out, warnings)
    told = [{"target": t, **j.as_result()} for t, j in zip(targets, found, strict=True)]
    for one, than in zip(told[1:], against, strict=True):
        one["against_first"] = asdict(than)
    return {"data": data, "compared": told, "warnings": warnings}


def _warn(out: Console, warnings: list[str]) -> None:
    for warning in warnings:
        out.print(f"WARNING: {warning}", markup=False)


def _own_report(targets: list[str]) -> Path | None:
    """A run's report lies in its folder; an ensemble has none, and a bundle is not added to."""
    from edgecnn.training.run import is_run

    if len(targets) > 1 or not is_run(targets[0]) or not os.access(targets[0], os.W_OK):
        return None
    return Path(targets[0]) / "report.html"


def _progress(images: int, name: str) -> Through:
    """A bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    errors = Console(stderr=True)

    def through(frames: Iterable[Frame]) -> Iterable[Frame]:
        return track(
            frames,
            name,
            total=images,
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )

    return through


def _check_run(target: str) -> None:
    from edgecnn.training.run import is_run

    if not is_run(target):
        raise InputError(
            f"--activity looks into the layers of a run folder, and {target} is none; name the run"
            " that it was made from"
        )


def _activity(target: str, data: DataSet) -> list[LayerActivity]:
    from edgecnn.data.splits import some_frames
    from edgecnn.evaluation.predict import batches, prepared
    from edgecnn.models.activity import activity
    from edgecnn.training.run import load_network, read_run

    run = read_run(target)
    frames = batches(some_frames(data.val))
    return activity(load_network(target, run), (prepared(batch, run.input) for batch in frames))


def _layers(layers: list[LayerActivity]) -> Table:
    from rich.table import Table

    table = Table("layer", "kind", box=None, header_style="bold")
    for column in ("units", "sparsity", "redundancy"):
        table.add_column(column, justify="right")
    for layer in layers:
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.units:,}",
            f"{layer.sparsity:.3f}",
            f"{layer.redundancy:.2f}",
        )
    return table


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")


def _open(target: str, manifest: Path | None, precision: str | None, backend: str) -> Opened:
    """TARGET -> what answers, its labels, the seed of its split, what its maker warns of."""
    from edgecnn.evaluation.predict import in_bundle, in_pytorch
    from edgecnn.training.run import is_run, load_network, read_run
    from edgecnn_runtime.classifier import Classifier

    if is_run(target):
        run = read_run(target)
        return in_pytorch(load_network(target, run), run.input), run.labels, run.seed, ""
    path = Path(target)
    if path.suffix == ".engine":
        raise BackendError(
            f"{target} is a TensorRT engine, and this version runs engines with TensorRT's own"
            " tools only; evaluate the bundle's ONNX graph"
        )
    if path.suffix == ".onnx":
        classifier = _bare_onnx(path, manifest, backend)
    else:
        classifier = Classifier.open(target, precision=precision, backend=backend)
    made = classifier.manifest.provenance
    seed = made.get("seed", 0)
    seed = seed if isinstance(seed, int) else 0
    return in_bundle(classifier), classifier.labels, seed, str(made.get("warning", ""))


def _bare_onnx(path: Path, manifest: Path | None, backend: str) -> Classifier:
    from edgecnn_runtime.backends.ort import open_ort
    from edgecnn_runtime.classifier import Classifier
    from edgecnn_runtime.manifest import ImageManifest, decode

    file = manifest or path.with_name("manifest.json")
    if not path.is_file():
        raise InputError(f"no file {path}; expected an ONNX graph that edgecnn exported")
    if not file.is_file():
        raise InputError(f"{path} has no manifest.json beside it; name one with --manifest")
    try:
        description = decode(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if isinstance(description, ImageManifest):
        raise InputError(f"{path} answers with pictures; expected a graph that answers with labels")
    named = {artifact.file: artifact.precision for artifact in description.onnx}
    return Classifier(description, open_ort(path, backend, precision=named.get(path.name)))
