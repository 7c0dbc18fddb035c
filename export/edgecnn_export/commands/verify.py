"""`edgecnn verify`. Without DATA and --layers it runs on a device, without PyTorch and onnx."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import CheckFailedError, InputError, MissingPackageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from edgecnn_export.findings import Report
    from edgecnn_runtime.bundle import Bundle

IMAGES = 256


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE")],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Real images, beside golden.npz.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="BUNDLE", help="Another bundle of the network: compare the first of each."
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Find the first layer where two graphs part.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="The graph that --layers compares with the first.")
    ] = None,
    backend: Annotated[str, typer.Option(help="What runs the ONNX graphs.")] = "onnxruntime",
    json: JsonOption = None,
) -> None:
    """Check every file of a bundle, and that all artifacts that run here give the same answers."""
    from edgecnn_export.tables import GOLDEN, heading, notes, verdict_table
    from edgecnn_export.verify import verify, verify_against
    from edgecnn_runtime.bundle import open_bundle

    if precision and not layers:
        raise InputError("--precision goes with --layers: all precisions are verified")
    opened, other = open_bundle(bundle), open_bundle(against) if against else None
    frames = _frames(opened, data) if data else None
    if other:
        report = verify_against(opened, other, frames, backend)
    else:
        report = verify(opened, frames, backend)
    people = console(json)
    people.print(heading(bundle, against, data))
    people.print(verdict_table(report, data))
    for verdict in report.artifacts:
        if not verdict.ran:
            people.print(f"{verdict.file}\n  {verdict.status}")
    for note in notes(report):
        people.print(note)
    if not other and opened.manifest.golden is None:
        people.print("without golden frames nothing tells whether the first artifact is right")
    result: dict[str, Any] = {
        "bundle": bundle,
        "data": data or GOLDEN,
        "preprocessing": report.preprocessing,
        "artifacts": [verdict.to_json() for verdict in report.artifacts],
    }
    if layers:
        result["layers"] = _layers(opened, other, precision, frames, report, people)
    write_result(result, json)
    if report.wrong:
        raise CheckFailedError(f"{bundle}: {'; '.join(report.wrong)}")


def _frames(bundle: Bundle, data: str) -> Sequence[NDArray[np.uint8]]:
    with _package_for("DATA"):
        from edgecnn.data import colour_crops, load_data
        from edgecnn.data.splits import ReadFrames

        seed = bundle.manifest.provenance.get("seed", 0)
        loaded = load_data(data, seed if isinstance(seed, int) else 0)
        return ReadFrames(loaded.val, IMAGES, colour_crops())


def _layers(
    bundle: Bundle,
    other: Bundle | None,
    precision: str | None,
    frames: Sequence[NDArray[np.uint8]] | None,
    report: Report,
    people: Console,
) -> dict[str, Any]:
    with _package_for("--layers"):
        from edgecnn_export.layers import compare_graphs
    from edgecnn_export.tables import layer_table

    worst = {f.worst_frame for v in report.artifacts if (f := v.data) and f.worst_frame}
    found = compare_graphs(bundle, other, precision, frames, worst)
    people.print(layer_table(found.layers, found.first))
    people.print(str(found))
    return asdict(found)


@contextmanager
def _package_for(what: str) -> Iterator[None]:
    """Name the one package that an option needs: a device lacks more than it must install."""
    try:
        yield
    except ModuleNotFoundError as error:
        name = {"skimage": "scikit-image"}.get(error.name or "", error.name)
        raise MissingPackageError(
            f"{what} needs the package {error.name!r}, which is not installed: pip install {name}"
        ) from error
