"""Engines of a bundle: which are there, which are missing, one file for each."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import msgspec

from edgecnn_export.tensorrt.build import (
    BuildOptions,
    Graph,
    build_engine,
    check_target,
    read_graph,
)
from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_export.tensorrt.progress import Show
from edgecnn_export.tensorrt.typed import Higher
from edgecnn_runtime.backends.cuda import compute_capability
from edgecnn_runtime.bundle import Bundle, add_artifact
from edgecnn_runtime.errors import BackendError, BundleError, InputError, unknown_name
from edgecnn_runtime.manifest import EngineArtifact, ImageManifest, OnnxArtifact

BF16_FROM = 80  # compute capability
FOR_CPUS = "int8-cpu"
Bar = Callable[[str], AbstractContextManager[Show | None]]


@dataclass(frozen=True)
class Compiled:
    """An engine of the bundle; `seconds` is 0 where a valid one was there already.

    Attributes:
        weight_bytes: of the graph's weights in their own types; the rest of an engine is kernels.
        higher_precision: convolutions and matrix products in a higher precision than the engine's.
    """

    file: str
    target: str
    precision: str
    bytes: int
    seconds: float
    weight_bytes: int
    higher_precision: tuple[Higher, ...]
    reused: bool = False


def compile_bundle(
    bundle: Bundle,
    compiler: Compiler,
    targets: list[str],
    options: BuildOptions,
    *,
    precisions: Sequence[str] = (),
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    bar: Bar = lambda _: nullcontext(),
) -> list[Compiled]:
    """Compile an engine for each ONNX graph and target, and list it in the manifest.

    An engine that was compiled from the same graph, by the same compiler, with the same batch and
    options, is left as it is. One of another batch or other options is replaced.

    Args:
        precisions: compile these graphs alone; all of them by default.
        force: compile even so.
        tell: called with a line before each build, which may take minutes.
        bar: opens a progress bar for a build, given what it builds.

    Raises:
        InputError: a precision that the bundle has no graph of.
        BackendError: the compiler refuses, engines that were finished before stay; or the bundle
            takes frames of any size, has no graph but one for CPUs, or a target has not got a
            precision.
        OSError: the bundle cannot be written.
        KeyboardInterrupt: Ctrl-C; engines that were finished before stay.
    """
    graphs = compilable(bundle, precisions)
    if asked := options.asked():
        compiler.check(asked, compute_capability())
    _check_targets(graphs, targets, options)
    done = []
    for graph in graphs:
        read = read_graph(compiler, bundle.file(graph))
        for target in targets:
            check_target(read, target)
        higher = read.typed.higher(graph.precision, graph.kept)
        for target in targets:
            name = _name(graph, compiler, target)
            existing = _existing(bundle, name)
            if existing and not force and _is_valid(bundle, existing, compiler, graph, options):
                tell(f"{name} is there already")
                size, seconds = existing.bytes, 0.0
            else:
                _check_writable(bundle)
                if existing:
                    tell(f"{name} is there and {_unlike(existing, graph, compiler, options)}")
                tell(f"compiling {graph.file} for {target} with {compiler} ...")
                with bar(f"{graph.precision} for {target}") as show:
                    artifact, engine, seconds = _built(read, graph, target, options, show, tell)
                bundle, size = add_artifact(bundle, artifact, engine), len(engine)
            done.append(
                Compiled(
                    file=name,
                    target=target,
                    precision=graph.precision,
                    bytes=size,
                    seconds=seconds,
                    weight_bytes=read.typed.weight_bytes,
                    higher_precision=higher,
                    reused=seconds == 0,
                )
            )
    return done


def _built(
    read: Graph,
    graph: OnnxArtifact,
    target: str,
    options: BuildOptions,
    show: Show | None,
    tell: Callable[[str], None],
) -> tuple[EngineArtifact, bytes, float]:
    """A new engine, what the manifest says of it, and the seconds that it took."""
    started = time.perf_counter()
    engine = build_engine(read.compiler, read, target, options, show=show, tell=tell)
    seconds = max(0.001, round(time.perf_counter() - started, 3))
    artifact = EngineArtifact(
        file=_name(graph, read.compiler, target),
        sha256=hashlib.sha256(engine).hexdigest(),
        bytes=len(engine),
        precision=graph.precision,
        compiler=read.compiler.name,
        version=read.compiler.version,
        target=target,
        batch=options.batch,
        onnx_sha256=graph.sha256,
        options=options.engine,
    )
    return artifact, engine, seconds


def compilable(bundle: Bundle, precisions: Sequence[str] = ()) -> tuple[OnnxArtifact, ...]:
    """The graphs that engines can be compiled from.

    Raises:
        InputError: none is of a precision that was asked for.
        BackendError: they take frames of any size, or there is none but for CPUs.
    """
    if isinstance(bundle.manifest, ImageManifest):
        raise BackendError(
            f"{bundle.path} takes frames of any size, and engines are compiled for one: it runs on"
            " ONNX Runtime, as it is"
        )
    graphs = tuple(graph for graph in bundle.manifest.onnx if graph.precision != FOR_CPUS)
    if not graphs:
        raise BackendError(
            f"{bundle.path} has only {FOR_CPUS}, whose zero points TensorRT refuses; export it with"
            " --precision int8"
        )
    for name in precisions:
        if name not in (have := [graph.precision for graph in graphs]):
            raise unknown_name("precision", name, have, f"; {bundle.path} has no graph of it")
    return tuple(g for g in graphs if not precisions or g.precision in precisions)


def _check_targets(
    graphs: Sequence[OnnxArtifact], targets: list[str], options: BuildOptions
) -> None:
    without = [target for target in targets if int(target.removeprefix("sm")) < BF16_FROM]
    for graph in graphs:
        if graph.precision == "bf16" and without:
            raise BackendError(
                f"{graph.file} needs a GPU that computes in BF16, sm{BF16_FROM} or later, got"
                f" {', '.join(without)}; leave that target out, or export the bundle without bf16"
            )
    if options.engine.hardware_compatible and without:
        raise InputError(
            f"--hardware-compatible is for sm80 and later, got {', '.join(without)}; leave the"
            " option out"
        )


def _check_writable(bundle: Bundle) -> None:
    """Fail before minutes of compiling and not after."""
    for folder in (bundle.path, bundle.path / "engines"):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise BundleError(
                f"{folder} cannot be written; copy the bundle to a folder of yours and compile it"
                " there"
            )


def _name(graph: OnnxArtifact, compiler: Compiler, target: str) -> str:
    release = ".".join(compiler.version.split(".")[:3])  # the build number stands in the manifest
    return f"engines/{compiler.name}-{release}-{target}-{graph.precision}.engine"


def _existing(bundle: Bundle, name: str) -> EngineArtifact | None:
    return next((e for e in bundle.manifest.engines if e.file == name), None)


def _is_valid(
    bundle: Bundle,
    engine: EngineArtifact,
    compiler: Compiler,
    graph: OnnxArtifact,
    options: BuildOptions,
) -> bool:
    there = (engine.version, engine.onnx_sha256, engine.batch, engine.options)
    if there != (compiler.version, graph.sha256, options.batch, options.engine):
        return False
    try:
        bundle.file(engine)
    except BundleError:
        return False
    return True


def _unlike(
    engine: EngineArtifact, graph: OnnxArtifact, compiler: Compiler, options: BuildOptions
) -> str:
    """Why an engine that is there is replaced."""
    if engine.onnx_sha256 != graph.sha256:
        return "was compiled from another graph"
    if engine.version != compiler.version:
        return f"was compiled by {engine.compiler} {engine.version}"
    if engine.batch != options.batch:
        return f"is for batch {':'.join(map(str, engine.batch))}"
    if engine.options != options.engine:
        return f"was compiled {_options(engine)}"
    return "is replaced"


def _options(engine: EngineArtifact) -> str:
    told = msgspec.to_builtins(engine.options)
    options = ", ".join(n if v is True else f"{n} {v}" for n, v in told.items())
    return f"with {options}" if options else "without these options"
