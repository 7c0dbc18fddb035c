"""A session on the GPU with memory of ours: no allocation and no hidden copy for a frame."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda import Cuda, Stream
from edgecnn_runtime.backends.ort.session import OrtBackend

SIZES = 8  # batch sizes that are kept ready; the one that was not used for longest makes room
_KINDS: dict[str, type[Any]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
}


def can_bind(session: Any) -> bool:
    """Whether all sides of input and outputs but the batch are known, as a binding needs."""
    nodes = (*session.get_inputs(), *session.get_outputs())
    return all(
        node.type in _KINDS and all(isinstance(side, int) for side in node.shape[1:])
        for node in nodes
    )


class BoundOrtBackend(OrtBackend):
    """A session of the CUDA provider on a stream of ours, its input and output bound to our memory.

    A frame is copied to pinned memory, then up, through the network and back on one stream, and
    waited for once. With `graphs`, ONNX Runtime captures the network once for each batch size, and
    launches that.

    Args:
        session: made with `user_compute_stream` of `stream`, and with `enable_cuda_graph` where
            `graphs`.
        run_options: makes an empty `RunOptions`.
        device: where the memory of `cuda` is, for ONNX Runtime; tests have it on the CPU.
    """

    def __init__(
        self,
        session: Any,
        name: str,
        cuda: Cuda,
        stream: Stream,
        run_options: Callable[[], Any],
        *,
        graphs: bool,
        device: str = "cuda",
    ) -> None:
        super().__init__(session, name)
        self._cuda = cuda
        self._stream = stream
        self._run_options = run_options
        self._device = device
        self.has_graphs = graphs
        self._batches: OrderedDict[int, _Batch] = OrderedDict()
        self._made = 0
        self._lock = threading.Lock()

    def _at_once(self, names: tuple[str, ...], frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        with self._lock, self._cuda:
            if names != self.outputs[:1]:
                return self._unbound(names, frames)
            batch = self._batches.get(len(frames)) or self._make(len(frames))
            self._batches.move_to_end(len(frames))
            np.copyto(batch.frames, frames)
            self._queue(batch)
            self._stream.synchronize()
            return [batch.answers.copy()]

    def _queue(self, batch: _Batch) -> None:
        self._stream.upload(batch.input, batch.sent.bytes)
        self._session.run_with_iobinding(batch.binding, batch.options)
        self._stream.download(batch.received.bytes, batch.output)

    def gpu_times_ms(self, frames: NDArray[np.uint8], count: int) -> list[float]:
        """GPU time of the copies and the network together, each time.

        What ONNX Runtime does on the CPU between its kernels is in it.
        """
        self.infer(frames)
        with self._lock, self._cuda:
            batch = self._batches[len(frames)]
            return self._stream.times_ms(lambda: self._queue(batch), count)

    def _unbound(self, names: tuple[str, ...], frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        options = self._run_options()
        if self.has_graphs:
            options.add_run_config_entry("gpu_graph_id", "-1")  # neither captured nor replayed
        answers: list[NDArray[Any]] = self._session.run(names, {self._input: frames}, options)
        return answers

    def _make(self, count: int) -> _Batch:
        while len(self._batches) >= SIZES:
            self._batches.popitem(last=False)[1].close()
        self._made += 1
        options = self._run_options()
        # The copy back stands behind it on the same stream: nobody need wait in between.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        if self.has_graphs:
            options.add_run_config_entry("gpu_graph_id", str(self._made))
        made = _Batch(self._cuda, self._session, count, self._device, options)
        self._batches[count] = made
        return made

    def close(self) -> None:
        """Free session, memory and stream. A second call does nothing."""
        with self._lock:
            if self._session is None:
                return
            while self._batches:
                self._batches.popitem()[1].close()
            super().close()
            self._stream.close()


class _Batch:
    """Memory for so many frames and their answers, and the session's binding to it."""

    def __init__(self, cuda: Cuda, session: Any, count: int, device: str, options: Any) -> None:
        entry, first = session.get_inputs()[0], session.get_outputs()[0]
        taken, given = (count, *entry.shape[1:]), (count, *first.shape[1:])
        kind = _KINDS[first.type]
        self._owned: list[Any] = []
        try:
            self.input = self._own(cuda.allocate(int(np.prod(taken))))
            self.sent = self._own(cuda.pin(self.input.size))
            size = int(np.prod(given)) * np.dtype(kind).itemsize
            self.output = self._own(cuda.allocate(size))
            self.received = self._own(cuda.pin(size))
        except BaseException:
            self.close()
            raise
        self.frames: NDArray[np.uint8] = self.sent.view(taken, np.uint8)
        self.answers: NDArray[Any] = self.received.view(given, kind)
        self.options = options
        self.binding = session.io_binding()
        self.binding.bind_input(entry.name, device, 0, np.uint8, taken, self.input.address)
        self.binding.bind_output(first.name, device, 0, kind, given, self.output.address)

    def _own(self, made: Any) -> Any:
        self._owned.append(made)
        return made

    def close(self) -> None:
        self.binding = None
        while self._owned:
            self._owned.pop().close()
