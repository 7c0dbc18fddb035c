"""Engines that run a graph. Each lies in a file of its own and is imported when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import unknown_name

if TYPE_CHECKING:
    from edgecnn_runtime.bundle import Bundle

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
