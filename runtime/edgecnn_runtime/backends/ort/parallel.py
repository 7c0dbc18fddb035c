"""Several batches at once on a CPU, each on a core of its own: for the throughput of files."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.ort.session import OrtBackend

MOST = 8  # cores that infer; with more, decoding in one thread cannot keep up


class ParallelOrtBackend(OrtBackend):
    """A session whose batches run side by side, each in one thread.

    Threads that share a small network's layers wait for one another after each of them. Side by
    side they wait for nobody: on two cores MobileNet v1 answers 1.4 times as often, while each
    answer takes 1.4 times as long (`tests/benchmarks/stream_by_hand.py`).

    Args:
        session: one with a single thread for each run.
        cores: how many batches run at once.

    Attributes:
        in_flight: batches that may be submitted before the first result is taken; one more than
            run, so that no core waits for whoever takes the results.
    """

    def __init__(self, session: Any, name: str, cores: int) -> None:
        super().__init__(session, name)
        self.in_flight = cores + 1
        self._pool = ThreadPoolExecutor(cores, thread_name_prefix="edgecnn-infer")

    def submit(self, frames: NDArray[np.uint8]) -> Running:
        """Queue a batch; the `result()` of what comes back is its answer."""
        return Running(self._pool.submit(self._timed, frames))

    def _timed(self, frames: NDArray[np.uint8]) -> tuple[NDArray[Any], int]:
        began = perf_counter_ns()
        return self.infer(frames), perf_counter_ns() - began

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        super().close()


class Running:
    """An answer that is on its way."""

    def __init__(self, answer: Future[tuple[NDArray[Any], int]]) -> None:
        self._answer = answer

    @property
    def spent_ns(self) -> int:
        """What inference took, once it has ended."""
        return self._answer.result()[1]

    def result(self) -> NDArray[Any]:
        """Wait for it."""
        return self._answer.result()[0]
