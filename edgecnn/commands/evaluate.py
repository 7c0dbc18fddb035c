"""`edgecnn evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from edgecnn.data import DataSet
    from edgecnn.evaluation.predict import Predict
    from edgecnn.models.activity import LayerActivity


def command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Run, bundle, .onnx or .engine.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="terrain, mnist5k or a folder.")],
    manifest: Annotated[
        Path | None,
        typer.Option(help="manifest.json of an .onnx or .engine; its own folder's by default."),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Which graph of a bundle.")] = None,
    backend: Annotated[str, typer.Option(help="What runs a bundle or a file.")] = "auto",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the split; a run's own by default.")
    ] = None,
    activity: Annotated[
        bool, typer.Option("--activity", help="Of a run: how sparse and redundant each layer is.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Measure a run folder, a bundle, a graph or an engine on the held-out images of DATA."""
    from rich.table import Table

    from edgecnn.data import load_data
    from edgecnn.data.splits import some_frames
    from edgecnn.evaluation.metrics import measure
    from edgecnn.evaluation.predict import predict_all

    if activity:
        _check_run(target)
    with _opened(target, manifest, precision, backend) as model:
        loaded = load_data(data, model.seed if seed is None else seed)
        if loaded.labels != model.labels:
            raise InputError(
                f"{data} has the labels {_some(loaded.labels)}; {target} answers with"
                f" {_some(model.labels)}"
            )
        metrics = measure(predict_all(model.predict, some_frames(loaded.val)), loaded.val.targets)
    table = Table("figure", "value", box=None, header_style="bold")
    for name in ("top1", "top5", "precision", "recall", "specificity", "accuracy", "map"):
        table.add_row(name, f"{getattr(metrics, name):.4f}")
    out = console(json)
    out.print(f"{target} on {metrics.images} held-out images of {data}")
    out.print(table)
    if model.warning:
        out.print(f"WARNING: {model.warning}", markup=False)
    result = {"target": target, "data": data, **asdict(metrics)}
    if activity:
        layers = _activity(target, loaded)
        out.print(_layers(layers))
        out.print("sparsity: share of exact zeros; redundancy: units for each number of the input")
        result["activity"] = layers
    write_result(result, json)


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

    predict: Predict
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
