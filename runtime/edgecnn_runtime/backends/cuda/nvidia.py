"""NVIDIA's own binding, cuda-bindings: the default."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda.driver import CudaError
from edgecnn_runtime.errors import BackendError

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING


class NvidiaDriver:
    """CUDA's driver through `cuda.bindings.driver`.

    The driver, and not the runtime API: its functions exist in every driver of the last years,
    while the runtime in the wheel wants a driver at least as new as itself.

    Args:
        api: the module; a fake in tests.

    Raises:
        ImportError: cuda-bindings is not installed.
        BackendError: there is no driver or no GPU.
    """

    name = "cuda-bindings"
    has_graphs = True

    def __init__(self, ordinal: int = 0, api: Any = None) -> None:
        if api is None:
            from cuda.bindings import driver

            api = driver
        self._api = api
        self._thread_local = api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        try:
            self._call("cuInit", 0)
        except CudaError:
            raise
        except Exception as error:  # the binding's own, of several classes, where it finds none
            reason = str(error).split("\n", maxsplit=1)[0]
            raise BackendError(f"cuda-bindings finds no NVIDIA driver: {reason}") from error
        self._device = self._call("cuDeviceGet", ordinal)
        # Retained until the process ends: PyTorch and ONNX Runtime do the same with the same one.
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self._api, name)(*arguments)
        if int(status):
            raise self._error(name, status)
        return values[0] if len(values) == 1 else tuple(values)

    def _error(self, call: str, status: Any) -> CudaError:
        says = [self._api.cuGetErrorName(status), self._api.cuGetErrorString(status)]
        name, text = (
            value.decode() if isinstance(value, bytes) else str(value or "") for _, value in says
        )
        return CudaError(call, name or f"error {int(status)}", text)

    def enter(self) -> None:
        self._call("cuCtxPushCurrent", self._context)

    def leave(self) -> None:
        self._call("cuCtxPopCurrent")

    def free_and_total(self) -> tuple[int, int]:
        free, total = self._call("cuMemGetInfo")
        return int(free), int(total)

    def allocate(self, size: int) -> Any:
        return self._call("cuMemAlloc", size)

    def address(self, memory: Any) -> int:
        return int(memory)

    def free(self, memory: Any) -> None:
        self._call("cuMemFree", memory)

    def pin(self, size: int) -> NDArray[np.uint8]:
        address = int(self._call("cuMemHostAlloc", size, 0))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def unpin(self, array: NDArray[np.uint8]) -> None:
        self._call("cuMemFreeHost", array.ctypes.data)

    def new_stream(self) -> Any:
        return self._call("cuStreamCreate", _NON_BLOCKING)

    def stream_handle(self, stream: Any) -> int:
        return int(stream)

    def synchronize(self, stream: Any) -> None:
        self._call("cuStreamSynchronize", stream)

    def free_stream(self, stream: Any) -> None:
        self._call("cuStreamDestroy", stream)

    def upload(self, address: int, array: NDArray[np.uint8], stream: Any) -> None:
        self._call("cuMemcpyHtoDAsync", address, array.ctypes.data, array.nbytes, stream)

    def download(self, array: NDArray[np.uint8], address: int, stream: Any) -> None:
        self._call("cuMemcpyDtoHAsync", array.ctypes.data, address, array.nbytes, stream)

    def new_event(self) -> Any:
        return self._call("cuEventCreate", 0)

    def record(self, event: Any, stream: Any) -> None:
        self._call("cuEventRecord", event, stream)

    def wait_for(self, stream: Any, event: Any) -> None:
        self._call("cuStreamWaitEvent", stream, event, 0)

    def await_event(self, event: Any) -> None:
        self._call("cuEventSynchronize", event)

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        return float(self._call("cuEventElapsedTime", begin, end))

    def free_event(self, event: Any) -> None:
        self._call("cuEventDestroy", event)

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> Any:
        # Of this thread alone: what another thread allocates meanwhile must not spoil it.
        self._call("cuStreamBeginCapture", stream, self._thread_local)
        try:
            enqueue()
        except BaseException:
            self._abandon_capture(stream)
            raise
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def _abandon_capture(self, stream: Any) -> None:
        status, graph = self._api.cuStreamEndCapture(stream)
        if not int(status):
            self._api.cuGraphDestroy(graph)

    def launch(self, graph: Any, stream: Any) -> None:
        self._call("cuGraphLaunch", graph, stream)

    def free_graph(self, graph: Any) -> None:
        self._call("cuGraphExecDestroy", graph)
