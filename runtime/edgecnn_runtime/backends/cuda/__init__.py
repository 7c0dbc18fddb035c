"""The only place that imports a CUDA binding. The GPU is not touched before `open_cuda`."""

from edgecnn_runtime.backends.cuda.capability import compute_capability
from edgecnn_runtime.backends.cuda.device import (
    Cuda,
    DeviceMemory,
    Event,
    Graph,
    PinnedMemory,
    Stream,
)
from edgecnn_runtime.backends.cuda.driver import CudaError
from edgecnn_runtime.backends.cuda.opening import BINDINGS, open_cuda

__all__ = [
    "BINDINGS",
    "Cuda",
    "CudaError",
    "DeviceMemory",
    "Event",
    "Graph",
    "PinnedMemory",
    "Stream",
    "compute_capability",
    "open_cuda",
]
