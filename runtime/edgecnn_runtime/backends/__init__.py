"""Engines that run a graph. Each lies in a file of its own and is imported when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edgecnn_runtime.errors import InputError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgecnn_runtime.bundle import Bundle
    from edgecnn_runtime.manifest import Artifact, OnnxArtifact

# name -> what it runs and needs
GRAPH_BACKENDS = {
    "onnxruntime": "the graph on the CPU",
    "onnxruntime-cuda": "the graph on an NVIDIA GPU; pip install 'edgecnn[gpu]'",
    "onnxruntime-tensorrt": "the graph through TensorRT, which compiles at the first inference;"
    " pip install 'edgecnn[gpu,tensorrt]'",
    "onnxruntime-tensorrt-rtx": "the graph through TensorRT-RTX, which compiles at the first"
    " inference; pip install onnxruntime-ep-nv-tensorrt-rtx-cu13",
    "openvino": "the graph on the CPU through OpenVINO; pip install 'edgecnn[openvino]'",
}
CPU_BACKENDS = ("onnxruntime", "openvino")
ENGINE_BACKENDS = {
    "tensorrt": "the bundle's engine for this GPU, with TensorRT and a CUDA binding",
    "tensorrt-rtx": "the bundle's engine for this GPU, with TensorRT-RTX and a CUDA binding",
}
BACKENDS = {
    "auto": "the bundle's engine for this GPU, else ONNX Runtime with CUDA, else on the CPU",
    **GRAPH_BACKENDS,
    **ENGINE_BACKENDS,
}
# What the others are held against; `profile` alone takes them, for a run folder.
REFERENCES = {
    "torch": "PyTorch on the CPU, as it was trained; pip install 'edgecnn[train]'",
    "torch-compile": "the same through torch.compile, which needs a C++ compiler",
    "torch-cuda": "PyTorch on an NVIDIA GPU",
}
COMPILE = ("never", "background", "wait")
POWERS = {  # of the CPU
    "save": "the CPU's threads sleep between frames",
    "latency": "the CPU's threads wait awake between frames",
    "throughput": "the CPU's threads have a frame each",
}


class Backend(Protocol):
    """What runs a graph: uint8 frames in, float32 answers out. A fake is five lines.

    A filter's graph takes any size, None in `input_shape`, and answers with uint8 pictures.
    """

    @property
    def name(self) -> str: ...

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]: ...  # (H, W, C), uint8

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]: ...  # (N, H, W, C) -> (N, K)

    def close(self) -> None: ...


@runtime_checkable
class GraphBackend(Backend, Protocol):
    """A backend that runs the ONNX graph itself, which describes itself and names its outputs."""

    @property
    def metadata(self) -> dict[str, str]: ...

    def infer_all(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]: ...


class Pending(Protocol):
    """An answer that is on its way."""

    def result(self) -> NDArray[Any]: ...  # waits for it: (N, K)


class PipelinedBackend(Backend, Protocol):
    """A backend that takes the next frames before it has answered to the last, for throughput."""

    @property
    def in_flight(self) -> int: ...  # how many may be on their way

    def submit(self, frames: NDArray[np.uint8]) -> Pending: ...


def shares_cores(backend: Backend) -> bool:
    """Whether it infers on the cores that also decode and preprocess."""
    return backend.name in CPU_BACKENDS


def in_flight(backend: Backend) -> int:
    """How many batches a backend takes before it must have answered to the first.

    More than 1 only of a `PipelinedBackend`.
    """
    count: int = getattr(backend, "in_flight", 1)  # asked for every frame: not by isinstance
    return count


def spent_ns(pending: Pending) -> int | None:
    """What inference took, where who inferred knows it better than who waited; else None."""
    spent: int | None = getattr(pending, "spent_ns", None)
    return spent


@runtime_checkable
class PoweredBackend(Backend, Protocol):
    """A backend that is run in one of `POWERS`: what runs on the CPU."""

    @property
    def power(self) -> str: ...

    def set_power(self, power: str) -> None: ...


def power_of(backend: Backend) -> str | None:
    """One of `POWERS`; None of a GPU, whose driver decides."""
    running = _running(backend)
    return running.power if isinstance(running, PoweredBackend) else None


def set_power(backend: Backend, power: str) -> None:
    """Change how the CPU's threads share the frames; nothing happens to a GPU.

    Raises:
        InputError: `power` is none of `POWERS`.
    """
    if power not in POWERS:
        raise unknown_name("power", power, POWERS)
    running = _running(backend)
    if isinstance(running, PoweredBackend):
        running.set_power(power)


def _running(backend: Backend) -> Backend:
    """What runs at the moment, where one takes the place of another."""
    running: Backend = getattr(backend, "running", backend)
    return running


def open_backend(
    bundle: Bundle,
    name: str = "auto",
    *,
    precision: str | None = None,
    threads: int | None = None,
    power: str = "save",
    cuda: str = "auto",
    compile: str = "never",
) -> Backend:
    """Open the engine that runs a bundle.

    Args:
        name: one of `BACKENDS`. `auto` falls back from one to the next, and says why; with any
            other it is an error where that cannot run.
        precision: of the graph, or of the engine made from it; the bundle's first by default.
        threads: for the CPU; all cores by default.
        power: one of `POWERS`; means nothing to a GPU.
        cuda: the binding that reaches the GPU; see `open_cuda`.
        compile: what to do where there is no engine for this GPU: `never` compile one, compile it
            in the `background` and switch to it between two frames, or `wait` for it.

    Raises:
        BackendError: the engine asked for cannot run here.
        BundleError: the graph is missing or altered.
        InputError: no such backend, or a backend that runs no engines and is told to compile one.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    if compile not in COMPILE:
        raise unknown_name("way to compile", compile, COMPILE)
    if compile != "never" and name in GRAPH_BACKENDS:
        raise InputError(
            f"backend {name!r} runs no engines, and {compile!r} would compile one; leave one of"
            " them out"
        )
    from edgecnn_runtime.backends.opening import Opener

    opener = Opener(bundle, precision, threads=threads, power=power, cuda=cuda)
    if name in GRAPH_BACKENDS:
        return opener.graph(name)
    return opener.engine_or_graph(name, compile)


def open_artifact(bundle: Bundle, artifact: Artifact, name: str = "auto") -> Backend:
    """Open one artifact of a bundle, whatever it is.

    Args:
        name: what is to run an ONNX graph: `auto` or one of `GRAPH_BACKENDS`.

    Raises:
        BackendError: it cannot run here; the message tells what it needs and what is here.
        BundleError: the file is missing or altered, or takes other frames than the manifest says.
    """
    from edgecnn_runtime.manifest import EngineArtifact

    if isinstance(artifact, EngineArtifact):
        from edgecnn_runtime.backends.engine import open_engine

        return open_engine(bundle, artifact)
    return open_bundled_graph(bundle, artifact, name)


def open_bundled_graph(
    bundle: Bundle,
    graph: OnnxArtifact,
    name: str = "auto",
    *,
    threads: int | None = None,
    power: str = "save",
    cuda: str = "auto",
) -> Backend:
    """Open an ONNX graph of a bundle, which keeps what is compiled from it.

    Arguments are those of `open_backend`, errors those of `open_graph`.
    """
    from edgecnn_runtime.backends.caches import cache_folder

    weights = graph.data.sha256 if graph.data else ""
    return open_graph(
        bundle.file(graph),
        name,
        precision=graph.precision,
        threads=threads,
        power=power,
        cuda=cuda,
        caches=lambda folder: cache_folder(bundle, folder),
        identity=f"{graph.sha256}{weights}",
    )


def open_graph(
    path: Path,
    name: str = "auto",
    *,
    precision: str | None = None,
    threads: int | None = None,
    power: str = "save",
    cuda: str = "auto",
    caches: Callable[[str], Path] | None = None,
    identity: str = "",
) -> Backend:
    """Open an ONNX file.

    Args:
        name: `auto` or one of `GRAPH_BACKENDS`.
        precision: of the graph, as the manifest has it.
        power: one of `POWERS`; ONNX Runtime's on the CPU alone.
        caches: gives a folder, by a name, for what is compiled from it.
        identity: the hashes of the graph and its weights.

    Raises:
        BackendError: it cannot run here; the message tells what it needs and what is here.
        BundleError: the file is not a graph that can be loaded.
    """
    if name == "openvino":
        from edgecnn_runtime.backends.ov import open_ov

        return open_ov(path, precision=precision, threads=threads, caches=caches, identity=identity)
    from edgecnn_runtime.backends.ort import open_ort

    return open_ort(
        path,
        name,
        precision=precision,
        threads=threads,
        power=power,
        cuda=cuda,
        caches=caches,
    )
