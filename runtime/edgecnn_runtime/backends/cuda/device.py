"""Memory, streams, events and graphs of a GPU, the same for every binding."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda.driver import OUT_OF_MEMORY, CudaError, Driver
from edgecnn_runtime.errors import BackendError


class Cuda:
    """A GPU, through one of the bindings.

    >>> with cuda:
    ...     memory, host, stream = cuda.allocate(1024), cuda.pin(1024), cuda.stream()
    ...     stream.upload(memory, host.bytes)
    ...     stream.synchronize()

    `with cuda:` makes it current in this thread, which all that is made here needs for every call
    but `close`. It may be entered again inside, and from several threads.

    Attributes:
        name: of the binding.
        has_graphs: whether `Stream.capture` works.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.name = driver.name
        self.has_graphs = driver.has_graphs

    def __enter__(self) -> Cuda:
        self._driver.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._driver.leave()

    def allocate(self, size: int) -> DeviceMemory:
        """Memory of the GPU, in bytes.

        Raises:
            BackendError: there is not so much left.
        """
        return DeviceMemory(self, self._driver, self._asked(size, self._driver.allocate), size)

    def pin(self, size: int) -> PinnedMemory:
        """Page-locked memory of the host, in bytes: copies from and to it need no help of the CPU.

        Raises:
            BackendError: there is not so much left.
        """
        return PinnedMemory(self, self._driver, self._asked(size, self._driver.pin))

    def stream(self) -> Stream:
        """A queue of its own, which waits for no other."""
        return Stream(self, self._driver)

    def event(self) -> Event:
        """A mark in a stream, to wait for and to measure time between."""
        return Event(self, self._driver)

    def _asked(self, size: int, make: Callable[[int], Any]) -> Any:
        try:
            return make(size)
        except CudaError as error:
            if error.name != OUT_OF_MEMORY:
                raise
            free, total = self._driver.free_and_total()
            raise BackendError(
                f"the GPU is out of memory: {megabytes(size)} asked for, {megabytes(free)} of"
                f" {megabytes(total)} free ({error.call}: {error.name}); end what else uses it, or"
                " compile the engine for a smaller batch"
            ) from error


class _Owned:
    """What is freed once, in the GPU's context, from any thread."""

    def __init__(self, cuda: Cuda, driver: Driver) -> None:
        self._cuda = cuda
        self._driver = driver
        self._open = True

    def close(self) -> None:
        """Free it. A second call does nothing."""
        if self._open:
            self._open = False
            with self._cuda:
                self._free()

    def _free(self) -> None:
        raise NotImplementedError


class DeviceMemory(_Owned):
    """`size` bytes at `address` of the GPU."""

    def __init__(self, cuda: Cuda, driver: Driver, handle: Any, size: int) -> None:
        super().__init__(cuda, driver)
        self._handle = handle
        self.address = driver.address(handle)
        self.size = size

    def _free(self) -> None:
        self._driver.free(self._handle)


class PinnedMemory(_Owned):
    """Page-locked memory; `bytes` and its views are not to be touched after `close`."""

    def __init__(self, cuda: Cuda, driver: Driver, array: NDArray[np.uint8]) -> None:
        super().__init__(cuda, driver)
        self.bytes = array

    def view(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Its beginning as an array."""
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        array: NDArray[Any] = self.bytes[:size].view(kind).reshape(shape)
        return array

    def _free(self) -> None:
        self._driver.unpin(self.bytes)


class Stream(_Owned):
    """A queue of work for the GPU; `handle` is CUDA's own, for other libraries."""

    def __init__(self, cuda: Cuda, driver: Driver) -> None:
        super().__init__(cuda, driver)
        self._stream: Any = driver.new_stream()
        self.handle = driver.stream_handle(self._stream)

    def upload(self, memory: DeviceMemory, source: NDArray[np.uint8]) -> None:
        """Queue a copy of pinned bytes to the GPU."""
        self._driver.upload(memory.address, source, self._stream)

    def download(self, target: NDArray[np.uint8], memory: DeviceMemory) -> None:
        """Queue a copy from the GPU to pinned bytes."""
        self._driver.download(target, memory.address, self._stream)

    def wait_for(self, event: Event) -> None:
        """Let the stream, not the CPU, wait for a mark in another stream."""
        self._driver.wait_for(self._stream, event.handle)

    def synchronize(self) -> None:
        """Wait until all that is queued is done."""
        self._driver.synchronize(self._stream)

    def record(self, event: Event) -> None:
        """Set a mark."""
        self._driver.record(event.handle, self._stream)

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Record what `enqueue` puts on this stream, without running it.

        Raises:
            BackendError: something of it cannot be captured, or the binding has no graphs.
        """
        if not self._driver.has_graphs:
            raise BackendError(f"{self._driver.name} has no CUDA graphs; install cuda-bindings")
        return Graph(self._cuda, self._driver, self._driver.capture(self._stream, enqueue))

    def launch(self, graph: Graph) -> None:
        """Queue a captured graph: one call, whatever it holds."""
        self._driver.launch(graph.handle, self._stream)

    def times_ms(self, queue: Callable[[], None], count: int) -> list[float]:
        """Milliseconds of the GPU's time that what `queue` puts on this stream takes, each time."""
        begin, end = self._cuda.event(), self._cuda.event()
        try:
            found = []
            for _ in range(count):
                self.record(begin)
                queue()
                self.record(end)
                end.synchronize()
                found.append(end.ms_since(begin))
            return found
        finally:
            begin.close()
            end.close()

    def _free(self) -> None:
        self._driver.free_stream(self._stream)
        self._stream = None  # pycuda frees with the last reference


class Event(_Owned):
    """A mark in a stream."""

    def __init__(self, cuda: Cuda, driver: Driver) -> None:
        super().__init__(cuda, driver)
        self.handle: Any = driver.new_event()

    def synchronize(self) -> None:
        """Wait until the stream has reached it."""
        self._driver.await_event(self.handle)

    def ms_since(self, begin: Event) -> float:
        """Milliseconds of the GPU's time between two marks that were both reached."""
        return self._driver.elapsed_ms(begin.handle, self.handle)

    def _free(self) -> None:
        self._driver.free_event(self.handle)
        self.handle = None  # pycuda frees with the last reference


class Graph(_Owned):
    """Captured work, to be launched as often as wanted with the same addresses."""

    def __init__(self, cuda: Cuda, driver: Driver, handle: Any) -> None:
        super().__init__(cuda, driver)
        self.handle = handle

    def _free(self) -> None:
        self._driver.free_graph(self.handle)


def megabytes(size: int) -> str:
    """A size for people, `38.5 MB`."""
    return f"{size / 1e6:.1f} MB"
