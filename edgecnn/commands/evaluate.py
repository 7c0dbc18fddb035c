"""`edgecnn evaluate`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from edgecnn.commands.options import DataDirOption
from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgecnn.data import DataSet
    from edgecnn.evaluation.judgement import Judgement, Through
    from edgecnn.evaluation.predict import Answerer, Frame, Predict
    from edgecnn.models.activity import LayerActivity


def command(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            help="Run, bundle, .onnx or .engine; several answer together, as their mean.",
        ),
    ],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A folder, or a name such as terrain or cifar10.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="manifest.json of an .onnx or .engine; its own folder's by default."),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Which graph of a bundle.")] = None,
    backend: Annotated[str, typer.Option(help="What runs a bundle or a file.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split; a run's own by default.")
    ] = None,
    data_dir: DataDirOption = None,
    crops: Annotated[
        str,
        typer.Option(
            metavar="center|flip|five|ten|144|multiscale|recipe",
            help="Average over several looks at each picture; as the recipe of a run has it.",
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
    """Measure a run folder, a bundle, a graph or an engine on the held-out images of DATA."""
    from edgecnn.data import load_data
    from edgecnn.evaluation.crops import ensemble, scheme, with_crops
    from edgecnn.evaluation.judgement import judge
    from edgecnn.evaluation.report import Subject, check_report, write_report
    from edgecnn.evaluation.slices import check_slices
    from edgecnn.evaluation.tables import figures, parts

    _check_options(targets, compare=compare, activity=activity, html=html)
    check_slices(slices or [])
    schemes = [scheme(_of_recipe(target) if crops == "recipe" else crops) for target in targets]
    if html:
        check_report(html)
    out = console(json)
    with ExitStack() as stack:
        models = [
            stack.enter_context(_opened(target, manifest, precision, backend)) for target in targets
        ]
        loaded = load_data(data, models[0].seed if seed is None else seed, data_dir=data_dir)
        for target, model in zip(targets, models, strict=True):
            _check_labels(target, model.labels, data, loaded.labels)
        remarks = [*_remarks(targets, models, seed), *_left_out(targets, crops, compare=compare)]

        def judged(predict: Predict, name: str) -> Judgement:
            through = _progress(len(loaded.val), name)
            return judge(predict, loaded, sliced=slices or [], mistakes=mistakes, through=through)

        answers = [
            with_crops(model.predict, own) for model, own in zip(models, schemes, strict=True)
        ]
        if compare:
            found = [judged(predict, name) for predict, name in zip(answers, targets, strict=True)]
            result = _compare(out, targets, data, found, remarks)
            write_result({**result, "crops": _one(schemes)}, json)
            return
        whole = judged(ensemble(answers), " + ".join(targets))
    parameters = sum(model.predict.parameters for model in models)
    subject = Subject(" + ".join(targets), data, parameters, _one(schemes), tuple(remarks))
    out.print(f"{subject.target} on {whole.metrics.images} held-out images of {data}", markup=False)
    out.print(figures(whole, subject.per_million(whole)))
    if whole.slices:
        out.print(parts(whole.slices))
    _warn(out, [*remarks, *whole.warnings])
    result = {
        "target": subject.target,
        "targets": targets,
        "data": data,
        "crops": subject.crops,
        "parameters": parameters,
        "top1_per_million_parameters": subject.per_million(whole),
        **whole.as_result(),
        "warnings": [*remarks, *whole.warnings],
    }
    if activity:
        layers = _activity(targets[0], loaded)
        out.print(_layers(layers))
        out.print("sparsity: share of exact zeros; redundancy: units for each number of the input")
        result["activity"] = layers
    if report := html or _own_report(targets):
        try:
            write_report(report, whole, subject, loaded.val)
        except InputError as error:
            if html:
                raise
            _warn(out, [str(error)])  # nobody asked for it
        else:
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


def _of_recipe(target: str) -> str:
    from edgecnn.training.run import is_run, read_run

    if not is_run(target):
        raise InputError(
            f"--crops recipe is what a run's recipe says, and {target} is no run; name the scheme"
        )
    return read_run(target).recipe.test.crops


def _left_out(targets: list[str], crops: str, *, compare: bool) -> list[str]:
    """What recipes have at test that `--crops recipe` does not do."""
    together = 1 if compare else len(targets)
    said = [_beside_crops(target, together) for target in targets] if crops == "recipe" else []
    return [line for line in said if line]


def _beside_crops(target: str, together: int) -> str:
    """Scales and networks of a run's recipe other than those that answer; empty where none are."""
    from edgecnn.evaluation.crops import scales
    from edgecnn.training.run import read_run

    run = read_run(target)
    test = run.recipe.test
    taken, wanted = (
        ", ".join(f"{scale:.3g}" for scale in sorted(found))
        for found in (scales(test.crops, run.input), test.shorter)
    )
    parts = []
    if wanted and wanted != taken:
        parts.append(f"scales of {wanted} times the input and not {taken}")
    if test.networks > together:
        parts.append(f"{test.networks} networks and not {together}")
    had = " and ".join(parts)
    return f"--crops recipe takes the crops alone: the recipe of {target} has {had}" if had else ""


def _one(schemes: list[str]) -> str:
    return schemes[0] if len(set(schemes)) == 1 else ", ".join(schemes)


def _check_labels(
    target: str, labels: tuple[str, ...], data: str, expected: tuple[str, ...]
) -> None:
    if labels != expected:
        raise InputError(
            f"{data} has the labels {_some(expected)}; {target} answers with {_some(labels)}"
        )


def _remarks(targets: list[str], models: list[_Model], seed: int | None) -> list[str]:
    """What their makers warn of, and that one may have learned what another held out."""
    said = [model.warning for model in models if model.warning]
    if len({model.seed for model in models}) > 1:
        told = ", ".join(f"{t}: {model.seed}" for t, model in zip(targets, models, strict=True))
        used = models[0].seed if seed is None else seed
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


class _Model(NamedTuple):
    """What is measured.

    Attributes:
        seed: of the split that it was trained with.
        warning: what its maker warns of, or nothing.
    """

    predict: Answerer
    labels: tuple[str, ...]
    seed: int
    warning: str


@contextmanager
def _opened(
    target: str, manifest: Path | None, precision: str | None, backend: str
) -> Iterator[_Model]:
    from edgecnn.evaluation.predict import in_bundle, in_pytorch
    from edgecnn.training.run import is_run, load_network, read_run
    from edgecnn_runtime.classifier import Classifier
    from edgecnn_runtime.one_file import open_file

    if is_run(target):
        run = read_run(target)
        network = load_network(target, run)
        yield _Model(in_pytorch(network, run.input), run.labels, run.seed, "")
        return
    if Path(target).suffix in (".onnx", ".engine"):
        classifier = open_file(target, manifest, backend=backend)
    else:
        classifier = Classifier.open(target, precision=precision, backend=backend)
    with classifier:
        made = classifier.manifest.provenance
        seed = made.get("seed", 0)
        seed = seed if isinstance(seed, int) else 0
        warning = str(made.get("warning", ""))
        yield _Model(in_bundle(classifier), classifier.labels, seed, warning)
