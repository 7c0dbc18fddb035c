"""Frames a second at each batch size: inference alone, as fast as it goes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import in_flight
from edgecnn_runtime.errors import EdgecnnError
from edgecnn_runtime.latency.pacing import Clock, SystemClock

if TYPE_CHECKING:
    from edgecnn_runtime.backends import Backend

LEAST, SECONDS = 10, 0.5  # of measuring, a batch size
WARM_UP = 3


@dataclass(frozen=True)
class BatchRate:
    """One batch size.

    Attributes:
        fps: frames a second; with a backend that takes the next batch before it has answered to
            the last, with as many on their way as it takes.
        p50_ms: of a batch, from submitting it to its answers.
        why: why this size did not run, "" where it did.
    """

    batch: int
    fps: float
    p50_ms: float
    runs: int
    why: str = ""


class _Model(Protocol):
    @property
    def backend(self) -> Backend: ...
    def preprocess(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]: ...


def batch_rates(
    model: _Model,
    frames: Sequence[NDArray[np.uint8]],
    sizes: Sequence[int],
    *,
    seconds: float = SECONDS,
    clock: Clock | None = None,
) -> list[BatchRate]:
    """Measure each size on frames that were preprocessed before; a size that fails says why.

    Args:
        frames: uint8 (H, W, 3) BGR, taken in turn.
        sizes: frames in a batch.
        seconds: to measure each, ten batches at least.
    """
    inputs = [model.preprocess(frame) for frame in frames]
    found = []
    for size in sizes:
        batch = np.stack(list(islice(cycle(inputs), size)))
        try:
            found.append(_rate(model.backend, batch, seconds, clock or SystemClock()))
        except EdgecnnError as error:
            found.append(BatchRate(size, 0.0, 0.0, 0, str(error)))
    return found


def _rate(backend: Backend, batch: NDArray[np.uint8], seconds: float, clock: Clock) -> BatchRate:
    for _ in range(WARM_UP):
        backend.infer(batch)
    most, spent = in_flight(backend), []
    waiting: deque[tuple[int, Any]] = deque()  # (when it was submitted, its answer to come)

    def take() -> None:
        submitted, pending = waiting.popleft()
        pending.result()
        spent.append(clock.now_ns() - submitted)

    began = clock.now_ns()
    while len(spent) < LEAST or clock.now_ns() - began < seconds * 1e9:
        if len(waiting) == most:
            take()
        now = clock.now_ns()
        if most == 1:
            backend.infer(batch)
            spent.append(clock.now_ns() - now)
        else:
            waiting.append((now, backend.submit(batch)))  # type: ignore[attr-defined]
    while waiting:
        take()
    taken = (clock.now_ns() - began) / 1e9
    return BatchRate(
        batch=len(batch),
        fps=round(len(spent) * len(batch) / taken, 3),
        p50_ms=round(median(spent) / 1e6, 4),
        runs=len(spent),
    )
