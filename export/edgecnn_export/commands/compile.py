"""`edgecnn compile`. Runs on devices: no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn_runtime.console import JsonOption, console, write_result

if TYPE_CHECKING:
    from edgecnn_export.tensorrt.compilers import Compiler
    from edgecnn_export.tensorrt.progress import Show


def command(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE")],
    compiler: Annotated[str, typer.Option(help="auto, tensorrt or tensorrt-rtx.")] = "auto",
    target: Annotated[str, typer.Option(help="local, or a list such as sm86,sm89.")] = "local",
    precision: Annotated[
        str | None, typer.Option(help="Compile these graphs alone, such as fp16,int8.")
    ] = None,
    batch: Annotated[str, typer.Option(help="Smallest, best and largest, or one.")] = "1:1:8",
    workspace: Annotated[
        int | None, typer.Option(min=1, metavar="MB", help="Scratch memory for the kernels.")
    ] = None,
    level: Annotated[
        int, typer.Option(min=0, max=5, help="How long to search for fast kernels.")
    ] = 3,
    timing_cache: Annotated[
        str, typer.Option(metavar="FILE|none", help="Kernel timings; auto: in the user's cache.")
    ] = "auto",
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="For later TensorRT versions too.")
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="For every GPU from sm80 on.")
    ] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave the weights out; the graph gives them back.")
    ] = False,
    refittable: Annotated[
        bool, typer.Option("--refittable", help="Weights can be exchanged later.")
    ] = False,
    sparse: Annotated[
        bool, typer.Option("--sparse", help="Allow kernels for weights of 2:4 sparsity.")
    ] = False,
    dla: Annotated[int | None, typer.Option(min=0, help="A Jetson's DLA core.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compile what is there already.")] = False,
    json: JsonOption = None,
) -> None:
    """Compile a bundle's graphs into TensorRT engines, for GPUs here or elsewhere."""
    from edgecnn_export.tensorrt.build import BuildOptions, parse_batch
    from edgecnn_export.tensorrt.compilers import find_compiler
    from edgecnn_export.tensorrt.engines import compilable, compile_bundle
    from edgecnn_export.tensorrt.targets import resolve_targets
    from edgecnn_runtime.backends.cuda import compute_capability
    from edgecnn_runtime.bundle import open_bundle
    from edgecnn_runtime.manifest import EngineOptions

    people, sizes = console(json), parse_batch(batch)
    opened, precisions = open_bundle(bundle), _listed(precision)
    compilable(opened, precisions)  # before anyone is told to install a compiler
    found = find_compiler(compiler, is_jetson=Path("/etc/nv_tegra_release").exists())
    targets = resolve_targets(found, target, compute_capability())
    options = EngineOptions(
        level=level,
        workspace_mb=workspace,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        strip=strip,
        refittable=refittable,
        sparse=sparse,
        dla=dla,
    )
    timings = _timings(timing_cache, found, targets[0])
    engines = compile_bundle(
        opened,
        found,
        targets,
        BuildOptions(sizes, options, timings),
        precisions=precisions,
        force=force,
        tell=people.print,
        bar=_bar,
    )
    for e in engines:
        took = "kept" if e.reused else f"{e.seconds:.2f} s"
        weights = f"{e.weight_bytes / 1e6:.2f} MB of them weights"
        people.print(f"{bundle}/{e.file}: {e.bytes / 1e6:.2f} MB, {weights}, {took}")
    write_result({"bundle": bundle, "engines": engines}, json)


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(t.strip().lower() for t in (text or "").split(",") if t.strip())


def _timings(asked: str, compiler: Compiler, target: str) -> Path | None:
    """The file of the timing cache, where one is of use: the timings of one GPU."""
    from edgecnn_export.tensorrt.timing_cache import default_file
    from edgecnn_runtime.machine.driver import find_driver

    if asked == "none":
        return None
    if asked != "auto":
        return Path(asked)
    if not compiler.keeps_timings():
        return None
    return default_file(compiler, next((gpu.name for gpu in find_driver().gpus), target))


@contextmanager
def _bar(what: str) -> Iterator[Show | None]:
    """A progress bar on standard error; nothing where that is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    terminal = Console(stderr=True)
    if not terminal.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, auto_refresh=False, transient=True) as progress:
        task = progress.add_task(what, total=1.0)

        def show(phase: str, share: float) -> None:
            text = f"{what}: {phase}" if phase else what
            progress.update(task, completed=share, description=text)
            progress.refresh()

        yield show
