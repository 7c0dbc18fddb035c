"""Engines of a bundle: which are there, which are missing, one file for each."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_runtime.bundle import Bundle, add_artifact
from edgecnn_runtime.errors import BackendError, BundleError
from edgecnn_runtime.manifest import EngineArtifact, ImageManifest, OnnxArtifact

BF16_FROM = 80  # compute capability
FOR_CPUS = "int8-cpu"


@dataclass(frozen=True)
class Compiled:
    """An engine of the bundle; `seconds` is 0 where a valid one was there already."""

    file: str
    target: str
    precision: str
    bytes: int
    seconds: float
    reused: bool = False


def compile_bundle(
    bundle: Bundle,
    compiler: Compiler,
    targets: list[str],
    options: BuildOptions,
    *,
    force: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Compiled]:
    """Compile an engine for each ONNX graph and target, and list it in the manifest.

    An engine that was compiled from the same graph, by the same compiler, for the same batch is
    left as it is.

    Args:
        force: compile even so.
        tell: called with a line before each build, which may take minutes.

    Raises:
        BackendError: the compiler refuses, engines that were finished before stay; or the bundle
            takes frames of any size, has no graph but one for CPUs, or a target has not got a
            precision.
    """
    _check_precisions(bundle, targets)
    done = []
    for graph in compilable(bundle):
        path = bundle.file(graph)
        for target in targets:
            wanted = _name(graph, compiler, target)
            existing = None if force else _valid(bundle, compiler, graph, target, options)
            if existing:
                tell(f"{wanted} is there already")
                size = existing.bytes
                done.append(Compiled(wanted, target, graph.precision, size, 0.0, reused=True))
                continue
            tell(f"compiling {graph.file} for {target} with {compiler.name} {compiler.version} ...")
            started = time.perf_counter()
            engine = build_engine(compiler, path, target, options)
            seconds = time.perf_counter() - started
            artifact = EngineArtifact(
                file=wanted,
                sha256=hashlib.sha256(engine).hexdigest(),
                bytes=len(engine),
                precision=graph.precision,
                compiler=compiler.name,
                version=compiler.version,
                target=target,
                batch=options.batch,
                onnx_sha256=graph.sha256,
            )
            bundle = add_artifact(bundle, artifact, engine)
            done.append(Compiled(wanted, target, graph.precision, len(engine), round(seconds, 3)))
    return done


def compilable(bundle: Bundle) -> tuple[OnnxArtifact, ...]:
    """The graphs that engines can be compiled from.

    Raises:
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
    return graphs


def _check_precisions(bundle: Bundle, targets: list[str]) -> None:
    without = [target for target in targets if int(target.removeprefix("sm")) < BF16_FROM]
    for graph in bundle.manifest.onnx:
        if graph.precision == "bf16" and without:
            raise BackendError(
                f"{graph.file} needs a GPU that computes in BF16, sm{BF16_FROM} or later, got"
                f" {', '.join(without)}; leave that target out, or export the bundle without bf16"
            )


def _name(graph: OnnxArtifact, compiler: Compiler, target: str) -> str:
    release = ".".join(compiler.version.split(".")[:3])  # the build number stands in the manifest
    return f"engines/{compiler.name}-{release}-{target}-{graph.precision}.engine"


def _valid(
    bundle: Bundle, compiler: Compiler, graph: OnnxArtifact, target: str, options: BuildOptions
) -> EngineArtifact | None:
    name = _name(graph, compiler, target)
    for artifact in bundle.manifest.engines:
        same = (artifact.file, artifact.version, artifact.onnx_sha256, artifact.batch)
        if same == (name, compiler.version, graph.sha256, options.batch):
            try:
                bundle.file(artifact)
            except BundleError:
                return None
            return artifact
    return None
