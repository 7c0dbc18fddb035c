"""What a CUDA binding must do. Two do it; a test's fake is a third."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import BackendError

OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"


class CudaError(BackendError):
    """A call into the driver that failed.

    Attributes:
        call: of the driver, as `cuMemAlloc`.
        name: the error's name in CUDA, as `CUDA_ERROR_OUT_OF_MEMORY`; where the binding does not
            tell it, what the driver says.
    """

    def __init__(self, call: str, name: str, says: str = "") -> None:
        what = f"{name} ({says})" if says else name
        super().__init__(f"CUDA's {call} failed: {what}")
        self.call = call
        self.name = name


class Driver(Protocol):
    """A binding of CUDA's driver, on the primary context of one GPU.

    That context is PyTorch's and ONNX Runtime's too, so that all of them can share one process. It
    must be current in the thread for every call but `enter`. Memory, streams, events and graphs are
    handles of the binding's own. Every method raises `CudaError`.

    Attributes:
        name: of the package.
        has_graphs: whether it can capture and launch CUDA graphs.
    """

    name: str
    has_graphs: bool

    def enter(self) -> None:
        """Make the context current in this thread; `leave` restores what was."""

    def leave(self) -> None: ...

    def free_and_total(self) -> tuple[int, int]:
        """Bytes of the GPU's memory."""

    def allocate(self, size: int) -> Any: ...
    def address(self, memory: Any) -> int: ...
    def free(self, memory: Any) -> None: ...

    def pin(self, size: int) -> NDArray[np.uint8]:
        """Memory of the host that the GPU copies from and to without help of the CPU."""

    def unpin(self, array: NDArray[np.uint8]) -> None: ...

    def new_stream(self) -> Any:
        """A stream that does not wait for the default one."""

    def stream_handle(self, stream: Any) -> int: ...
    def synchronize(self, stream: Any) -> None: ...
    def free_stream(self, stream: Any) -> None: ...
    def upload(self, address: int, array: NDArray[np.uint8], stream: Any) -> None: ...
    def download(self, array: NDArray[np.uint8], address: int, stream: Any) -> None: ...

    def new_event(self) -> Any: ...
    def record(self, event: Any, stream: Any) -> None: ...
    def wait_for(self, stream: Any, event: Any) -> None: ...
    def await_event(self, event: Any) -> None: ...
    def elapsed_ms(self, begin: Any, end: Any) -> float: ...
    def free_event(self, event: Any) -> None: ...

    def capture(self, stream: Any, enqueue: Callable[[], None]) -> Any:
        """Record what `enqueue` puts on a stream, without running it."""

    def launch(self, graph: Any, stream: Any) -> None: ...
    def free_graph(self, graph: Any) -> None: ...
