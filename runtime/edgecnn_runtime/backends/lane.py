"""One frame's way through an engine: staging memory, a stream, and a context for each batch."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda import Cuda, DeviceMemory, Graph, PinnedMemory, Stream
from edgecnn_runtime.errors import BackendError

if TYPE_CHECKING:
    from edgecnn_runtime.backends.trt import Engine, Tensor

log = logging.getLogger("edgecnn")

SIZES = 8  # batch sizes that are kept ready; the one that was not used for longest makes room


class Lane:
    """Runs one batch after the other on a stream of its own, without allocating anything anew.

    Frames go up as uint8, as the camera gave them. With a binding that has CUDA graphs, the copies
    and the network are one captured graph for each batch, and a frame is one launch.

    Attributes:
        stream: its queue.

    Raises:
        BackendError: the GPU has no memory for it.
    """

    def __init__(self, engine: Engine, cuda: Cuda) -> None:
        self._engine = engine
        self._cuda = cuda
        self._owned: list[Any] = []
        self._shapes: OrderedDict[int, _Shape] = OrderedDict()
        self._running: _Shape | None = None
        try:
            with cuda:
                self.stream: Stream = self._own(cuda.stream())
                self._scratch: DeviceMemory = self._own(cuda.allocate(max(1, engine.scratch_size)))
                self._staged = [self._stage(t) for t in (engine.input, *engine.outputs)]
        except BaseException:
            self.close()
            raise

    def _own(self, made: Any) -> Any:
        self._owned.append(made)
        return made

    def _stage(self, tensor: Tensor) -> _Staged:
        size = tensor.size(self._engine.batch[1])
        device, host = self._own(self._cuda.allocate(size)), self._own(self._cuda.pin(size))
        return _Staged(tensor, device, host)

    @property
    def is_captured(self) -> bool:
        """Whether the batch that ran last is one launch."""
        return self._running is not None and self._running.graph is not None

    def start(self, frames: NDArray[np.uint8]) -> None:
        """Queue frames, uint8 (N, H, W, C), N within the engine's range; waits for nothing.

        The first time of each N it does: what TensorRT sets up then must not be captured.

        Raises:
            BackendError: the engine or the GPU refuses.
        """
        with self._cuda:
            shape = self._shapes.get(len(frames))
            if shape is not None:
                np.copyto(shape.frames, frames)
                self._shapes.move_to_end(len(frames))
                self._running = shape
                self._queue(shape)
                return
            shape = self._prepare(len(frames))
            np.copyto(shape.frames, frames)
            self._running = shape
            self._enqueue(shape)
            self.stream.synchronize()
            self._engine.keep_kernels()
            self._capture(shape)

    def finish(self) -> list[NDArray[Any]]:
        """Wait for what was started: the answers of each output, copied out of the staging memory.

        Raises:
            BackendError: the GPU failed.
        """
        assert self._running is not None
        with self._cuda:
            self.stream.synchronize()
        return [view.copy() for view in self._running.answers]

    def times_ms(self, count: int) -> list[float]:
        """GPU time of copies and network together, each time that what ran last runs again."""
        shape = self._running
        assert shape is not None
        with self._cuda:
            return self.stream.times_ms(lambda: self._queue(shape), count)

    def layer_times(
        self, batches: Iterable[NDArray[np.uint8]]
    ) -> Iterator[tuple[list[tuple[str, float]], float]]:
        """Run batches of one size: (layer, ms) of each layer, and ms of the run as a whole.

        In a context of its own, since a captured graph tells of no layer.
        """
        shape: _Shape | None = None
        for frames in batches:
            with self._cuda:
                if shape is None:
                    shape = self._shape(len(frames))
                    heard = self._engine.listen(shape.context)
                np.copyto(shape.frames, frames)
                heard.clear()
                began = perf_counter()
                self._enqueue(shape)
                self.stream.synchronize()
                taken = (perf_counter() - began) * 1e3
            yield list(heard), taken

    def _queue(self, shape: _Shape) -> None:
        if shape.graph is not None:
            self.stream.launch(shape.graph)
        else:
            self._enqueue(shape)

    def _enqueue(self, shape: _Shape) -> None:
        first, *rest = self._staged
        self.stream.upload(first.device, first.bytes(shape.batch))
        self._engine.enqueue(shape.context, self.stream.handle)
        for staged in rest:
            self.stream.download(staged.bytes(shape.batch), staged.device)

    def _prepare(self, batch: int) -> _Shape:
        while len(self._shapes) >= SIZES:
            self._shapes.popitem(last=False)[1].close()
        shape = self._shapes[batch] = self._shape(batch)
        return shape

    def _shape(self, batch: int) -> _Shape:
        context = self._engine.context(batch, self._scratch.address)
        for staged in self._staged:
            context.set_tensor_address(staged.tensor.name, staged.device.address)
        frames, *answers = (staged.view(batch) for staged in self._staged)
        return _Shape(batch, context, frames, answers)

    def _capture(self, shape: _Shape) -> None:
        handle = self.stream.handle
        if not self._cuda.has_graphs or not self._engine.may_capture(shape.context, handle):
            return
        try:
            shape.graph = self.stream.capture(lambda: self._enqueue(shape))
        except BackendError as error:  # it has just run: it will without a graph
            log.info("%s runs without a CUDA graph: %s", self._engine.what, error)

    def close(self) -> None:
        """Free all of it. A second call does nothing."""
        with self._cuda:
            while self._shapes:
                self._shapes.popitem()[1].close()
            while self._owned:
                self._owned.pop().close()


class _Staged:
    """Memory for a tensor of the largest batch, on both sides."""

    def __init__(self, tensor: Tensor, device: DeviceMemory, host: PinnedMemory) -> None:
        self.tensor = tensor
        self.device = device
        self._host = host

    def bytes(self, batch: int) -> NDArray[np.uint8]:
        """Those of so many frames."""
        return self._host.bytes[: self.tensor.size(batch)]

    def view(self, batch: int) -> NDArray[Any]:
        """The same as an array, (batch, ...)."""
        return self._host.view((batch, *self.tensor.shape), self.tensor.dtype)


class _Shape:
    """A batch that is ready to run."""

    def __init__(
        self, batch: int, context: Any, frames: NDArray[Any], answers: list[NDArray[Any]]
    ) -> None:
        self.batch = batch
        self.context = context
        self.frames = frames
        self.answers = answers
        self.graph: Graph | None = None

    def close(self) -> None:
        if self.graph is not None:
            self.graph.close()
        self.context = None
