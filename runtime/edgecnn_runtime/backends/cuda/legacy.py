"""pycuda: the older binding, which many Jetsons have. It knows no CUDA graphs."""

from __future__ import annotations

import atexit
import re
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda.driver import OUT_OF_MEMORY, CudaError
from edgecnn_runtime.errors import BackendError

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_FAILED = re.compile(r"^(\w+) failed: (.+)$", re.DOTALL)  # what all of pycuda's errors look like


class _Errors:
    """Turns pycuda's errors into ours. A class, since a generator would cost more than the call."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, self._api.MemoryError):
            call, says = _parts(error)
            raise CudaError(call, OUT_OF_MEMORY, says) from error
        if isinstance(error, self._api.Error):
            raise CudaError(*_parts(error)) from error


class PycudaDriver:
    """CUDA's driver through pycuda.

    Each thread has a stack of contexts in pycuda, which ends the process where a thread ends with
    one left on it: hence a pop for every push. Its objects free themselves where they were made, or
    where their context is current, as it is here.

    Args:
        api: the module `pycuda.driver`; a fake in tests.

    Raises:
        ImportError: pycuda is not installed, or does not load.
        BackendError: there is no driver or no GPU.
    """

    name = "pycuda"
    has_graphs = False

    def __init__(self, ordinal: int = 0, api: Any = None) -> None:
        if api is None:
            from pycuda import driver

            api = driver
        self._api = api
        self._errors = _Errors(api)
        with self._errors:
            api.init()
            # Retained until the process ends, as PyTorch and ONNX Runtime do. Its destructor would
            # end it as no primary context may be ended, and complain.
            self._context = api.Device(ordinal).retain_primary_context()
        atexit.register(self._context.detach)

    def enter(self) -> None:
        with self._errors:
            self._context.push()

    def leave(self) -> None:
        with self._errors:
            self._context.pop()

    def free_and_total(self) -> tuple[int, int]:
        with self._errors:
            free, total = self._api.mem_get_info()
        return int(free), int(total)

    def allocate(self, size: int) -> Any:
        with self._errors:
            return self._api.mem_alloc(size)

    def address(self, memory: Any) -> int:
        return int(memory)

    def free(self, memory: Any) -> None:
        with self._errors:
            memory.free()

    def pin(self, size: int) -> NDArray[np.uint8]:
        with self._errors:
            array: NDArray[np.uint8] = self._api.pagelocked_empty(size, np.uint8)
        return array

    def unpin(self, array: NDArray[np.uint8]) -> None:
        owner: Any = array.base
        with self._errors:
            owner.free()

    def new_stream(self) -> Any:
        with self._errors:
            return self._api.Stream(_NON_BLOCKING)

    def stream_handle(self, stream: Any) -> int:
        return int(stream.handle)

    def synchronize(self, stream: Any) -> None:
        with self._errors:
            stream.synchronize()

    def free_stream(self, stream: Any) -> None:
        """Goes with the last reference, which `Stream` drops."""

    def upload(self, address: int, array: NDArray[np.uint8], stream: Any) -> None:
        with self._errors:
            self._api.memcpy_htod_async(address, array, stream)

    def download(self, array: NDArray[np.uint8], address: int, stream: Any) -> None:
        with self._errors:
            self._api.memcpy_dtoh_async(array, address, stream)

    def new_event(self) -> Any:
        with self._errors:
            return self._api.Event()

    def record(self, event: Any, stream: Any) -> None:
        with self._errors:
            event.record(stream)

    def wait_for(self, stream: Any, event: Any) -> None:
        with self._errors:
            stream.wait_for_event(event)

    def await_event(self, event: Any) -> None:
        with self._errors:
            event.synchronize()

    def elapsed_ms(self, begin: Any, end: Any) -> float:
        with self._errors:
            return float(begin.time_till(end))

    def free_event(self, event: Any) -> None:
        """Goes with the last reference, which `Event` drops."""

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> Any:
        raise BackendError("pycuda has no CUDA graphs")

    def launch(self, graph: Any, stream: Any) -> None:
        raise BackendError("pycuda has no CUDA graphs")

    def free_graph(self, graph: Any) -> None:
        raise BackendError("pycuda has no CUDA graphs")


def _parts(error: BaseException) -> tuple[str, str]:
    """(call, what the driver says), from pycuda's one line."""
    said = str(error).strip()
    match = _FAILED.match(said)
    return (match[1], match[2].split("\n", maxsplit=1)[0]) if match else ("driver", said)
