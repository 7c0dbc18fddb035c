"""`edgecnn verify`. Without DATA it runs on a device, with neither PyTorch nor onnx."""

from __future__ import annotations

from typing import Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result
from edgecnn_runtime.errors import CheckFailedError

IMAGES = 256


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE")],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Real images; golden.npz without.")
    ] = None,
    backend: Annotated[str, typer.Option(help="What runs the ONNX graphs.")] = "onnxruntime",
    json: JsonOption = None,
) -> None:
    """Check every file of a bundle, and that all artifacts that run here give the same answers."""
    from edgecnn_export.verify import verify
    from edgecnn_runtime.bundle import open_bundle

    opened = open_bundle(bundle)
    frames = None
    if data is not None:
        from edgecnn.data import colour_crops, load_data
        from edgecnn.data.splits import some_frames

        seed = opened.manifest.provenance.get("seed", 0)
        loaded = load_data(data, seed if isinstance(seed, int) else 0)
        frames = [*some_frames(loaded.val, IMAGES), *colour_crops()]
    verdicts = verify(opened, frames, backend)
    people = console(json)
    for v in verdicts:
        figures = ""
        if v.max_abs is not None and v.top1_agreement is not None:
            figures = (
                f" on {v.frames} frames: largest difference {v.max_abs:.1e}, top-1 agreement"
                f" {v.top1_agreement:.4f}"
            )
        if v.equal is not None:
            figures = (
                f" on {v.frames} frames: largest difference {v.max_abs:g} of 255 levels,"
                f" {v.equal:.4%} of the values equal"
            )
        people.print(f"{v.file} ({v.precision}) {v.status}{figures}")
    write_result({"bundle": bundle, "data": data or "golden.npz", "artifacts": verdicts}, json)
    wrong = [v.file for v in verdicts if v.status == "differs"]
    if wrong:
        raise CheckFailedError(f"{bundle}: other answers than expected from {', '.join(wrong)}")
