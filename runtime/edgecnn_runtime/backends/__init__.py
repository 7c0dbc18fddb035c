"""Engines that run a graph. Each lies in a file of its own and is imported when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import BackendError, unknown_name

if TYPE_CHECKING:
    from edgecnn_runtime.bundle import Bundle
    from edgecnn_runtime.manifest import Artifact

BACKENDS = ("auto", "onnxruntime", "onnxruntime-cuda")


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


def shares_cores(backend: Backend) -> bool:
    """Whether it infers on the cores that also decode and preprocess."""
    return backend.name == "onnxruntime"


def open_backend(
    bundle: Bundle,
    name: str = "auto",
    *,
    precision: str | None = None,
    threads: int | None = None,
    spin: bool = False,
) -> Backend:
    """Open the engine that runs a bundle.

    Args:
        name: one of `BACKENDS`. `auto` is ONNX Runtime with CUDA where it has CUDA and a GPU, and
            otherwise ONNX Runtime on the CPU.
        precision: of the ONNX graph; the bundle's first by default.
        threads: for the CPU; all cores by default.
        spin: let them wait awake between frames: for files, not for cameras.

    Raises:
        BackendError: the engine asked for cannot run here.
        BundleError: the graph is missing or altered.
        InputError: no such backend.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    from edgecnn_runtime.backends.ort import open_ort

    graph = bundle.onnx(precision)
    path = bundle.file(graph)
    return open_ort(path, name, precision=graph.precision, threads=threads, spin=spin)


def open_artifact(bundle: Bundle, artifact: Artifact, name: str = "auto") -> Backend:
    """Open one artifact of a bundle, whatever it is.

    Args:
        name: what is to run an ONNX graph, one of `BACKENDS`.

    Raises:
        BackendError: it cannot run here; the message tells what it needs and what is here.
        BundleError: the file is missing or altered, or takes other frames than the manifest says.
    """
    from edgecnn_runtime.backends.cuda import compute_capability
    from edgecnn_runtime.manifest import EngineArtifact

    path = bundle.file(artifact)
    if isinstance(artifact, EngineArtifact):
        gpu = compute_capability()
        here = f"{gpu}, where this version runs no engines yet" if gpu else "no NVIDIA GPU"
        raise BackendError(
            f"needs {artifact.target}, {artifact.compiler} {artifact.version} (here: {here})"
        )
    from edgecnn_runtime.backends.ort import open_ort

    return open_ort(path, name, precision=artifact.precision)
