"""The verb `info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result

if TYPE_CHECKING:
    from rich.console import Console

    from edgecnn_runtime.bundle.contents import Contents, Entry


def command(
    bundle: Annotated[str, typer.Argument(help="A bundle folder.")], json: JsonOption = None
) -> int:
    """What a bundle holds: model, input, and each graph and engine with what it was made for."""
    from edgecnn_runtime.bundle.contents import contents

    found = contents(bundle)
    show(found, console(json))
    write_result(found, json)
    whole = found.golden != "altered" and all(entry.state == "whole" for entry in found.entries)
    return 0 if whole else 1


def show(found: Contents, out: Console) -> None:
    """Print a bundle's contents as people read them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _rows(found).items():
        table.add_row(Text(name, style="bold"), Text(value))
    out.print(table, soft_wrap=False)
    files = Table(box=None, pad_edge=False)
    for column in ("file", "made for", "batch", "from"):
        files.add_column(column, no_wrap=True, overflow="fold")
    files.add_column("MB", justify="right")
    files.add_column("graph MB", justify="right")
    for entry in found.entries:
        files.add_row(*(Text(cell) for cell in _cells(entry)))
    out.print(files, soft_wrap=False)
    if any(entry.graph for entry in found.entries):
        out.print("graph MB is nearly all weights; what an engine has more is kernels")
    for entry in found.entries:
        if entry.state == "altered":
            out.print(f"ALTERED: {entry.artifact.file}; export or compile it again", markup=False)
        elif entry.is_stale:
            out.print(
                f"STALE: {entry.artifact.file}; its graph was exported anew, compile it again",
                markup=False,
            )


def _rows(found: Contents) -> dict[str, str]:
    from edgecnn_runtime.manifest import Manifest

    manifest = found.manifest
    rows = {"model": manifest.model.name, "weights": manifest.weights}
    if isinstance(manifest, Manifest):
        model, spec = manifest.model, manifest.input
        macs = f", {model.macs / 1e6:,.1f} M MACs" if model.macs else ""
        rows["model"] += f", width {model.width:g}, {model.parameters:,} parameters{macs}"
        takes = "a camera frame" if spec.frame else f"resized by {spec.resize}"
        height, width, channels = spec.takes
        rows["input"] = f"{height}x{width}x{channels} uint8 {spec.color}, {takes}"
        some = ", ".join(manifest.labels[:5]) + (", ..." if len(manifest.labels) > 5 else "")
        rows["labels"] = f"{len(manifest.labels)}: {some}"
    golden = {"none": "none: it cannot verify itself", "whole": "whole", "altered": "ALTERED"}
    rows["golden frames"] = golden[found.golden]
    return rows


def _cells(entry: Entry) -> list[str]:
    from edgecnn_runtime.manifest import EngineArtifact

    artifact = entry.artifact
    cells = [artifact.file, "ONNX Runtime", "any", "-"]
    if isinstance(artifact, EngineArtifact):
        cells[1:] = [
            f"{artifact.target}, {artifact.compiler} {artifact.version}",
            ":".join(str(size) for size in artifact.batch),
            entry.graph or "-",
        ]
    cells.append(f"{artifact.bytes / 1e6:.2f}")
    cells.append("-" if entry.graph_bytes is None else f"{entry.graph_bytes / 1e6:.2f}")
    return cells
