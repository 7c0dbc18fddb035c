"""Whether an engine of a bundle is for this machine, told before any byte of it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecnn_runtime.errors import BackendError

if TYPE_CHECKING:
    from edgecnn_runtime.bundle import Bundle
    from edgecnn_runtime.manifest import EngineArtifact, OnnxArtifact

HARDWARE_COMPATIBLE_FROM = 80  # compute capability: TensorRT's "Ampere and later"

Version = Callable[[str], str | None]


class NoEngineError(BackendError):
    """A bundle has no engine for this machine.

    Attributes:
        reason: what is there and what is here.
        todo: the command that compiles the right one.
    """

    def __init__(self, reason: str, todo: str) -> None:
        super().__init__(f"{reason}; compile one:  {todo}")
        self.reason = reason
        self.todo = todo


@dataclass(frozen=True)
class Here:
    """What this machine runs engines with.

    Attributes:
        gpu: its compute capability, `sm86`; None without one.
        version: the version of a compiler's runtime here, None where it does not load. It is asked
            only for what a bundle has engines of, since the libraries are large.
    """

    gpu: str | None
    version: Version

    def describe(self, compiler: str) -> str:
        """`sm86, tensorrt 10.3.0`, or what is missing."""
        if self.gpu is None:
            return "no NVIDIA GPU"
        version = self.version(compiler)
        return f"{self.gpu}, {compiler} {version}" if version else f"{self.gpu}, no {compiler}"


def needs(artifact: EngineArtifact, here: Here) -> str:
    """What an engine needs and what is here, as `verify` lists it."""
    return (
        f"needs {artifact.target}, {artifact.compiler} {artifact.version}"
        f" (here: {here.describe(artifact.compiler)})"
    )


def compile_command(bundle: Bundle, compiler: str | None = None) -> str:
    """What makes the engine that is missing."""
    chosen = f" --compiler {compiler}" if compiler else ""
    return f"edgecnn compile {bundle.path}{chosen} --target local"


def runs_on(artifact: EngineArtifact, gpu: str | None) -> bool:
    """Whether an engine was compiled for a GPU."""
    if gpu is None:
        return False
    if artifact.options.hardware_compatible:
        return min(_number(gpu), _number(artifact.target)) >= HARDWARE_COMPATIBLE_FROM
    return artifact.target == gpu


def fits_version(artifact: EngineArtifact, version: str | None) -> bool:
    """Whether a runtime of a version reads an engine: its own; a later one if it was built so."""
    if version is None:
        return False
    if artifact.options.version_compatible:
        built, running = _release(artifact.version), _release(version)
        return built[:1] == running[:1] and built <= running
    return artifact.version == version


def mismatch(bundle: Bundle, artifact: EngineArtifact, here: Here, batch: int = 1) -> str | None:
    """Why an engine is not to be opened here; None where nothing speaks against it.

    Args:
        batch: how many frames are to be run at once; more are split.
    """
    fits = fits_version(artifact, here.version(artifact.compiler)) if here.gpu else False
    if not (fits and runs_on(artifact, here.gpu)):
        return needs(artifact, here)
    graphs = {graph.sha256 for graph in bundle.manifest.onnx}
    if graphs and artifact.onnx_sha256 not in graphs:
        return "was compiled from another graph than the bundle has"
    least, _, most = artifact.batch
    if batch < least:
        takes = f"{least}" if least == most else f"{least} to {most}"
        return f"takes {takes} frames at once, not {batch}"
    return None


def choose(
    bundle: Bundle,
    graph: OnnxArtifact | None,
    compilers: Iterable[str],
    here: Here,
    batch: int = 1,
) -> EngineArtifact:
    """The engine of a bundle that runs a graph here.

    Args:
        graph: None in a bundle that has none.

    Raises:
        NoEngineError: there is none; in one line the nearest, what is here and what to do.
        BackendError: there is no GPU to run one.
    """
    asked = tuple(compilers)
    of_graph = [
        engine
        for engine in bundle.manifest.engines
        if engine.compiler in asked and (graph is None or engine.precision == graph.precision)
    ]
    for engine in of_graph:
        fresh = graph is None or engine.onnx_sha256 == graph.sha256
        if fresh and mismatch(bundle, engine, here, batch) is None:
            return engine
    if here.gpu is None:
        names = " and ".join(asked)
        raise BackendError(f"{names} engines need an NVIDIA GPU and its driver: there is none here")
    compiler = asked[0] if len(asked) == 1 else None
    reason = _nearest(bundle, of_graph, graph, asked, here, batch)
    raise NoEngineError(reason, compile_command(bundle, compiler))


def _nearest(
    bundle: Bundle,
    engines: list[EngineArtifact],
    graph: OnnxArtifact | None,
    asked: tuple[str, ...],
    here: Here,
    batch: int,
) -> str:
    """What kept the engines that came nearest from being taken."""
    if not engines:
        what = " or ".join(asked)
        of = f" of {graph.file}" if graph else ""
        return f"{bundle.path} has no {what} engine{of}"
    local = [engine for engine in engines if runs_on(engine, here.gpu)]
    if not local:
        return f"{bundle.path} has engines for {_targets(engines)}, this GPU is {here.gpu}"
    readable = [e for e in local if fits_version(e, here.version(e.compiler))]
    if not readable:
        nearest = local[0]
        return (
            f"{bundle.path} has an engine for {nearest.target} of {nearest.compiler}"
            f" {nearest.version}, here is {here.describe(nearest.compiler)}"
        )
    why = mismatch(bundle, readable[0], here, batch)
    return f"{bundle.path}: {readable[0].file} {why or 'was compiled from another graph'}"


def _targets(engines: Iterable[EngineArtifact]) -> str:
    names = sorted({engine.target for engine in engines}, key=_number)
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _number(target: str) -> int:
    digits = "".join(c for c in target if c.isdigit())
    return int(digits) if digits else 0


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
