"""`edgecnn compile`. Runs on devices: no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE")],
    compiler: Annotated[str, typer.Option(help="auto, tensorrt or tensorrt-rtx.")] = "auto",
    target: Annotated[str, typer.Option(help="local, or a list such as sm86,sm89.")] = "local",
    batch: Annotated[str, typer.Option(help="Smallest, best and largest, or one.")] = "1:1:8",
    workspace: Annotated[
        int | None, typer.Option(min=1, metavar="MB", help="Scratch memory for the builder.")
    ] = None,
    dla: Annotated[int | None, typer.Option(min=0, help="A Jetson's DLA core.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compile what is there already.")] = False,
    json: JsonOption = None,
) -> None:
    """Compile a bundle's graphs into TensorRT engines, for GPUs here or elsewhere."""
    from edgecnn_export.tensorrt.build import BuildOptions, parse_batch
    from edgecnn_export.tensorrt.compilers import find_compiler, resolve_targets
    from edgecnn_export.tensorrt.engines import compilable, compile_bundle
    from edgecnn_runtime.backends.cuda import compute_capability
    from edgecnn_runtime.bundle import open_bundle

    people = console(json)
    options = BuildOptions(parse_batch(batch), workspace, dla)
    opened = open_bundle(bundle)
    compilable(opened)  # before anyone is told to install a compiler
    found = find_compiler(compiler, is_jetson=Path("/etc/nv_tegra_release").exists())
    targets = resolve_targets(found, target, compute_capability())
    engines = compile_bundle(opened, found, targets, options, force=force, tell=people.print)
    for e in engines:
        took = "kept" if e.reused else f"{e.seconds:.2f} s"
        people.print(f"{bundle}/{e.file}: {e.bytes / 1e6:.2f} MB, {took}")
    write_result({"bundle": bundle, "engines": engines}, json)
