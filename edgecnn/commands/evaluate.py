"""`edgecnn evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import BackendError, InputError

if TYPE_CHECKING:
    from rich.table import Table

    from edgecnn.data import DataSet
    from edgecnn.evaluation.predict import Predict
    from edgecnn.models.activity import LayerActivity
    from edgecnn_runtime.classifier import Classifier


def command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Run, bundle or .onnx.")],
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
    activity: Annotated[
        bool, typer.Option("--activity", help="Of a run: how sparse and redundant each layer is.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Measure a run folder, a bundle or an ONNX file on the held-out images of DATA."""
    from rich.table import Table

    from edgecnn.data import load_data
    from edgecnn.data.splits import some_frames
    from edgecnn.evaluation.metrics import measure
    from edgecnn.evaluation.predict import predict_all

    if activity:
        _check_run(target)
    predict, labels, own_seed, warning = _open(target, manifest, precision, backend)
    loaded = load_data(data, own_seed if seed is None else seed)
    if loaded.labels != labels:
        raise InputError(
            f"{data} has the labels {_some(loaded.labels)}; {target} answers with {_some(labels)}"
        )
    metrics = measure(predict_all(predict, some_frames(loaded.val)), loaded.val.targets)
    table = Table("figure", "value", box=None, header_style="bold")
    for name in ("top1", "top5", "precision", "recall", "specificity", "accuracy", "map"):
        table.add_row(name, f"{getattr(metrics, name):.4f}")
    out = console(json)
    out.print(f"{target} on {metrics.images} held-out images of {data}")
    out.print(table)
    if warning:
        out.print(f"WARNING: {warning}", markup=False)
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


def _open(
    target: str, manifest: Path | None, precision: str | None, backend: str
) -> tuple[Predict, tuple[str, ...], int, str]:
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
    from edgecnn_runtime.backends import open_graph
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
    return Classifier(description, open_graph(path, backend, precision=named.get(path.name)))
