"""A backend that runs a compiled engine of the bundle."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import cuda as gpu
from edgecnn_runtime.backends import trt
from edgecnn_runtime.backends.caches import cache_folder
from edgecnn_runtime.backends.identity import Here, mismatch
from edgecnn_runtime.backends.lane import Lane
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency.inspector import layers_of, runs_of
from edgecnn_runtime.latency.layers import LayerRuns

if TYPE_CHECKING:
    from edgecnn_runtime.bundle import Bundle
    from edgecnn_runtime.manifest import EngineArtifact

IN_FLIGHT = 2
LAYER_WARM_UP = 10  # runs


class EngineBackend:
    """Runs an engine of TensorRT or TensorRT-RTX: uint8 (N, H, W, C) in, its outputs out.

    `infer` is for latency: one batch, from the frames to the answers. `submit` is for throughput:
    up to `in_flight` batches on their way, the copies of one beside the network of the other. More
    frames than the engine takes at once are split. Calls from several threads take turns; with a
    `fork` for each thread, as for several cameras, they do not.

    Attributes:
        name: `tensorrt` or `tensorrt-rtx`.
        outputs: their names.
        in_flight: batches that may be submitted before the first result is taken.
    """

    def __init__(self, shared: Shared) -> None:
        engine = shared.engine
        height, width, channels = engine.input.shape
        self.name = engine.compiler
        self.input_shape: tuple[int | None, int | None, int] = (height, width, channels)
        self.outputs = tuple(tensor.name for tensor in engine.outputs)
        self.in_flight = IN_FLIGHT
        self._shared = shared
        self._lock = threading.RLock()
        self._on_their_way: list[_Submitted] = []  # oldest first, each on a lane of its own
        self._lanes = [Lane(engine, shared.cuda)]
        shared.take()

    @property
    def is_captured(self) -> bool:
        """Whether the batch that ran last is one captured graph."""
        return self._lanes[0].is_captured

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, H, W, C) uint8 -> (N, classes).

        Raises:
            BackendError: frames of another size or kind; a batch that cannot be split into what the
                engine takes; a GPU that fails.
        """
        return self._infer(frames)[0]

    def infer_all(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Every output by its name."""
        return dict(zip(self.outputs, self._infer(frames), strict=True))

    def submit(self, frames: NDArray[np.uint8]) -> _Submitted:
        """Queue a batch that the engine takes at once; `result()` of what comes back is its answer.

        Where `in_flight` batches are on their way, it waits for the oldest, whose answer is kept.

        Raises:
            BackendError: as `infer`, and for a batch that would have to be split.
        """
        with self._lock:
            self._check(frames)
            least, most = self._shared.engine.batch
            if not least <= len(frames) <= most:
                raise outside(self._shared.engine.what, len(frames), least, most)
            return self._submit(frames)

    def gpu_times_ms(self, frames: NDArray[np.uint8], count: int) -> list[float]:
        """GPU time of the copies and the network together, for a batch that fits, each time."""
        with self._lock:
            self.infer(frames)
            return self._lanes[0].times_ms(count)

    def time_layers(self, frames: Sequence[NDArray[np.uint8]], runs: int) -> LayerRuns:
        """What each layer takes, by TensorRT's own profiler; see `LayerTimes`."""
        with self._lock:
            for frame in frames:
                self._check(frame[None])
            turns = islice(cycle(frames), LAYER_WARM_UP + runs)
            found = list(self._lanes[0].layer_times(f[None] for f in turns))[LAYER_WARM_UP:]
            layers = layers_of(self._shared.engine.inspect())
        reports, taken = zip(*found, strict=True)
        layers = tuple(replace(layer, provider=self.name) for layer in layers)
        return runs_of(reports, taken, layers, self._shared.precision)

    def fork(self) -> EngineBackend:
        """Another backend on the same engine, with memory, stream and contexts of its own.

        Raises:
            BackendError: the GPU has no memory for it.
        """
        return EngineBackend(self._shared)

    def close(self) -> None:
        """Free the GPU's memory, and after the last fork the engine. A second call does nothing."""
        with self._lock:
            if not self._lanes:
                return
            self._on_their_way.clear()
            while self._lanes:
                self._lanes.pop().close()
            self._shared.leave()

    def _infer(self, frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        with self._lock:
            self._check(frames)
            engine = self._shared.engine
            sizes = split(engine.what, len(frames), *engine.batch)
            if len(sizes) == 1:
                while self._on_their_way:
                    self._on_their_way[0].take()
                self._lanes[0].start(frames)
                return self._lanes[0].finish()
            begins = np.cumsum([0, *sizes[:-1]])
            parts = [
                self._submit(frames[begin : begin + size])
                for begin, size in zip(begins, sizes, strict=True)
            ]
            answers = [part.take() for part in parts]
            return [np.concatenate(rows) for rows in zip(*answers, strict=True)]

    def _submit(self, frames: NDArray[np.uint8]) -> _Submitted:
        if len(self._on_their_way) == self.in_flight:
            self._on_their_way[0].take()
        busy = [submitted.lane for submitted in self._on_their_way]
        if len(busy) == len(self._lanes):
            self._lanes.append(Lane(self._shared.engine, self._shared.cuda))
        lane = next(lane for lane in self._lanes if lane not in busy)
        lane.start(frames)
        submitted = _Submitted(lane, self._lock, self._on_their_way)
        self._on_their_way.append(submitted)
        return submitted

    def _check(self, frames: NDArray[np.uint8]) -> None:
        what = self._shared.engine.what
        if not self._lanes:
            raise BackendError(f"{what} was closed")
        if frames.ndim != 4 or frames.shape[1:] != self.input_shape or frames.dtype != np.uint8:
            raise BackendError(
                f"{what} takes uint8 (N, {', '.join(map(str, self.input_shape))}), got"
                f" {frames.dtype} {frames.shape}"
            )


class _Submitted:
    """A batch on its way."""

    def __init__(self, lane: Lane, lock: threading.RLock, on_their_way: list[_Submitted]) -> None:
        self.lane = lane
        self._lock = lock
        self._on_their_way = on_their_way
        self._answers: list[NDArray[Any]] | None = None

    def result(self) -> NDArray[Any]:
        """Wait for it: (N, classes).

        Raises:
            BackendError: the GPU failed, or the backend was closed meanwhile.
        """
        return self.take()[0]

    def take(self) -> list[NDArray[Any]]:
        with self._lock:
            if self._answers is None:
                if self not in self._on_their_way:
                    raise BackendError("the backend was closed, or failed, before the answer came")
                self._on_their_way.remove(self)
                self._answers = self.lane.finish()
            return self._answers


class Shared:
    """An engine with the backends that run it; the last to leave closes it.

    Attributes:
        precision: of the graph that it was compiled from.
    """

    def __init__(self, engine: trt.Engine, cuda: gpu.Cuda, precision: str) -> None:
        self.engine = engine
        self.cuda = cuda
        self.precision = precision
        self._users = 0
        self._lock = threading.Lock()

    def take(self) -> None:
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users <= 0:
                self.close()

    def close(self) -> None:
        with self.cuda:
            self.engine.close()


def split(what: str, count: int, least: int, most: int) -> list[int]:
    """How many frames to run at a time.

    Raises:
        BackendError: they cannot be split into parts that the engine takes.

    >>> split("the engine", 10, 1, 4)
    [4, 4, 2]
    """
    full, rest = divmod(count, most)
    if count < least:
        raise outside(what, count, least, most)
    if rest == 0 or rest >= least:
        return [most] * full + [rest] * (rest > 0)
    parts = full + 1  # as even as they can be
    small, larger = divmod(count, parts)
    if small < least:
        raise outside(what, count, least, most)
    return [small + 1] * larger + [small] * (parts - larger)


def outside(what: str, count: int, least: int, most: int) -> BackendError:
    """The error for a batch that an engine does not take."""
    takes = f"{least}" if least == most else f"{least} to {most}"
    return BackendError(
        f"{what} takes {takes} frames at once, got {count}; compile it with --batch, as"
        f" --batch 1:1:{max(most, count)}"
    )


def this_machine() -> Here:
    """The GPU and the TensorRT that are here; neither is touched before it is asked for."""
    return Here(gpu.compute_capability(), cache(trt.version))


def open_engine(
    bundle: Bundle,
    artifact: EngineArtifact,
    *,
    here: Here | None = None,
    cuda: str = "auto",
    path: Path | None = None,
) -> EngineBackend:
    """Open an engine of a bundle, after its identity was checked.

    Args:
        here: this machine, if it is known already.
        path: of its file where that lies outside of the bundle and was checked; nothing is then
            kept of what a first run compiles.
        cuda: the binding; see `open_cuda`.

    Raises:
        BackendError: it is for another GPU or version, of another graph, was compiled for more
            frames than one, or TensorRT does not take it; or the GPU has no memory for it.
        BundleError: its file is missing, cut short or altered.
    """
    here = this_machine() if here is None else here
    if why := mismatch(bundle, artifact, here):
        raise BackendError(why)
    kernels = None if path else _kernels(bundle, artifact, here)
    path = path or bundle.file(artifact)
    device = gpu.open_cuda(cuda)
    with device:
        engine = trt.Engine(
            artifact.compiler,
            path.read_bytes(),
            str(path),
            kernels=kernels,
            dla=artifact.options.dla,
            host_code=artifact.options.version_compatible,
            weights=_weights(bundle, artifact),
        )
    shared = Shared(engine, device, artifact.precision)
    try:
        return EngineBackend(shared)
    except BaseException:
        shared.close()
        raise


def _kernels(bundle: Bundle, artifact: EngineArtifact, here: Here) -> Path | None:
    """Where TensorRT-RTX keeps what it compiles for this GPU when an engine is first run."""
    if artifact.compiler != "tensorrt-rtx":
        return None
    with suppress(OSError):
        folder = cache_folder(bundle, "kernels")
        return folder / f"{Path(artifact.file).stem}-on-{here.gpu}.bin"
    return None


def _weights(bundle: Bundle, artifact: EngineArtifact) -> Path | None:
    """The graph that has what was left out of an engine; None where nothing was."""
    if not artifact.options.strip:
        return None
    graphs = [g for g in bundle.manifest.onnx if g.sha256 == artifact.onnx_sha256]
    if not graphs:
        raise BackendError(
            f"{artifact.file} has no weights, and the graph that has them is not in {bundle.path};"
            " compile it without --strip"
        )
    return bundle.file(graphs[0])
