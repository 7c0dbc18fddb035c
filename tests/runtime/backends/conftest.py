"""A GPU that computes on the host, for the logic of the backends."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda import Cuda, CudaError

Work = Callable[[], None]


class HostStream:
    def __init__(self, *, at_once: bool) -> None:
        self.queue: list[Work] = []
        self.captured: list[Work] | None = None
        self._at_once = at_once

    def put(self, work: Work) -> None:
        (self.queue if self.captured is None else self.captured).append(work)
        if self._at_once and self.captured is None:
            self.run()

    def run(self) -> None:
        while self.queue:
            self.queue.pop(0)()


class HostEvent:
    def __init__(self) -> None:
        self.at: float | None = None
        self.stream: HostStream | None = None


class HostDriver:
    """A `Driver` whose memory is the host's. A stream runs nothing before somebody waits for it.

    Args:
        at_once: a stream runs everything when it is queued, as ONNX Runtime does on the CPU.

    Attributes:
        allocations: how often memory was asked for, of either kind.
        launches: graphs that were launched.
        entered: how deep the context lies on the stack; 0 when all is well.
    """

    name = "host"

    def __init__(
        self, *, has_graphs: bool = True, total: int = 256 << 20, at_once: bool = False
    ) -> None:
        self.has_graphs = has_graphs
        self.at_once = at_once
        self.total = total
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.streams: dict[int, HostStream] = {}
        self.pinned = self.allocations = self.launches = self.entered = 0

    def enter(self) -> None:
        self.entered += 1

    def leave(self) -> None:
        self.entered -= 1

    def _needs_context(self, call: str) -> None:
        if not self.entered:
            raise CudaError(call, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context")

    def free_and_total(self) -> tuple[int, int]:
        return self.total - sum(block.nbytes for block in self.memory.values()), self.total

    def allocate(self, size: int) -> int:
        self._needs_context("cuMemAlloc")
        if size > self.free_and_total()[0]:
            raise CudaError("cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory")
        block = np.zeros(size, np.uint8)
        self.memory[block.ctypes.data] = block
        self.allocations += 1
        return block.ctypes.data

    def address(self, memory: int) -> int:
        return memory

    def free(self, memory: int) -> None:
        self._needs_context("cuMemFree")
        del self.memory[memory]

    def pin(self, size: int) -> NDArray[np.uint8]:
        self._needs_context("cuMemHostAlloc")
        self.allocations += 1
        self.pinned += 1
        return np.zeros(size, np.uint8)

    def unpin(self, array: NDArray[np.uint8]) -> None:
        self._needs_context("cuMemFreeHost")
        self.pinned -= 1

    def new_stream(self) -> HostStream:
        self._needs_context("cuStreamCreate")
        stream = HostStream(at_once=self.at_once)
        self.streams[id(stream)] = stream
        return stream

    def stream_handle(self, stream: HostStream) -> int:
        return id(stream)

    def synchronize(self, stream: HostStream) -> None:
        self._needs_context("cuStreamSynchronize")
        stream.run()

    def free_stream(self, stream: HostStream) -> None:
        del self.streams[id(stream)]

    def upload(self, address: int, array: NDArray[np.uint8], stream: HostStream) -> None:
        self._needs_context("cuMemcpyHtoDAsync")
        stream.put(lambda: np.copyto(self.memory[address][: array.nbytes], array))

    def download(self, array: NDArray[np.uint8], address: int, stream: HostStream) -> None:
        self._needs_context("cuMemcpyDtoHAsync")
        stream.put(lambda: np.copyto(array, self.memory[address][: array.nbytes]))

    def new_event(self) -> HostEvent:
        return HostEvent()

    def record(self, event: HostEvent, stream: HostStream) -> None:
        event.at, event.stream = None, stream

        def mark() -> None:
            event.at = perf_counter()

        stream.put(mark)

    def wait_for(self, stream: HostStream, event: HostEvent) -> None:
        stream.put(lambda: self.await_event(event))

    def await_event(self, event: HostEvent) -> None:
        if event.stream is not None and event.at is None:
            event.stream.run()

    def elapsed_ms(self, begin: HostEvent, end: HostEvent) -> float:
        if begin.at is None or end.at is None:
            raise CudaError("cuEventElapsedTime", "CUDA_ERROR_NOT_READY", "device not ready")
        return (end.at - begin.at) * 1e3

    def free_event(self, event: HostEvent) -> None: ...

    def capture(self, stream: HostStream, enqueue: Work) -> list[Work]:
        stream.captured = []
        try:
            enqueue()
            return stream.captured
        finally:
            stream.captured = None

    def launch(self, graph: list[Work], stream: HostStream) -> None:
        self._needs_context("cuGraphLaunch")
        self.launches += 1
        stream.queue.extend(graph)

    def free_graph(self, graph: list[Work]) -> None:
        graph.clear()


@pytest.fixture
def host() -> HostDriver:
    return HostDriver()


@pytest.fixture
def make_host() -> Callable[..., tuple[HostDriver, Cuda]]:
    """make_host(has_graphs=False) -> the driver, to look into, and the GPU on it."""

    def make(**options: Any) -> tuple[HostDriver, Cuda]:
        driver = HostDriver(**options)
        return driver, Cuda(driver)

    return make
