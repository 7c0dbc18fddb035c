"""Engines of a bundle: which are there, which are missing, one file for each."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import msgspec

from edgecnn_export.tensorrt.build import BuildOptions, build_engine, check_target, read_graph
from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_export.tensorrt.progress import Show
from edgecnn_export.tensorrt.typed import Higher
from edgecnn_runtime.backends.cuda import compute_capability
from edgecnn_runtime.bundle import Bundle, add_artifact
from edgecnn_runtime.errors import BackendError, BundleError, InputError, unknown_name
from edgecnn_runtime.manifest import EngineArtifact, ImageManifest, OnnxArtifact

BF16_FROM = 80  # compute capability
FOR_CPUS = "int8-cpu"
NAMED = 5  # layers in a line; the result has them all
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
        for line in _in_lines(graph, higher):
            tell(line)
        for target in targets:
            name = _name(graph, compiler, target)
            listed, seconds = _existing(bundle, name), 0.0
            reused = bool(
                listed and not force and _is_valid(bundle, listed, compiler, graph, options)
            )
            if listed and reused:
                tell(f"{name} is there already")
            else:
                _check_writable(bundle)
                if listed:
                    tell(f"{name} is there and {_unlike(listed, graph, compiler, options)}")
                tell(f"compiling {graph.file} for {target} with {compiler} ...")
                started = time.perf_counter()
                with bar(f"{graph.precision} for {target}") as show:
                    engine = build_engine(compiler, read, target, options, show=show, tell=tell)
                seconds = round(time.perf_counter() - started, 3)
                listed = _artifact(name, engine, compiler, graph, target, options)
                bundle = add_artifact(bundle, listed, engine)
            done.append(
                Compiled(
                    file=name,
                    target=target,
                    precision=graph.precision,
                    bytes=listed.bytes,
                    seconds=seconds,
                    weight_bytes=read.typed.weight_bytes,
                    higher_precision=higher,
                    reused=reused,
                )
            )
    return done


def _in_lines(graph: OnnxArtifact, higher: Sequence[Higher]) -> Iterator[str]:
    """The products in a higher precision, those that nothing explains in a line of their own."""
    for kept in (True, False):
        layers = [h for h in higher if h.kept == kept]
        if layers:
            names = ", ".join(f"{h.layer} ({h.precision})" for h in layers[:NAMED])
            more = f" and {len(layers) - NAMED} more" if len(layers) > NAMED else ""
            why = "kept there by the export" if kept else "which nothing explains"
            asked = f"{len(layers)} in a higher precision than {graph.precision}"
            yield f"{graph.file}: {asked}, {why}: {names}{more}"


def _artifact(
    name: str,
    engine: bytes,
    compiler: Compiler,
    graph: OnnxArtifact,
    target: str,
    options: BuildOptions,
) -> EngineArtifact:
    """What the manifest says of an engine."""
    return EngineArtifact(
        file=name,
        sha256=hashlib.sha256(engine).hexdigest(),
        bytes=len(engine),
        precision=graph.precision,
        compiler=compiler.name,
        version=compiler.version,
        target=target,
        batch=options.batch,
        onnx_sha256=graph.sha256,
        options=options.engine,
    )


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
