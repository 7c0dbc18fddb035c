"""A session on the CPU: what its threads do between two frames, and how many share one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends.ort.session import OrtBackend

MOST = 8  # cores that infer side by side; with more, one thread that decodes cannot keep up


class CpuBackend(OrtBackend):
    """A session on the CPU, run in one of `backends.POWERS`.

    With `save` and `latency` all threads share the layers of a frame; between two frames they
    sleep, or wait awake. But threads that share a small network wait for one another after each
    layer. With `throughput` each runs a frame of its own and waits for nobody: on two cores
    MobileNet v1 answers 1.4 times as often, while each answer takes 1.4 times as long.

    Args:
        open_session: makes a session for a power.
        cores: how many may run side by side.

    Attributes:
        power: one of `backends.POWERS`.
    """

    def __init__(self, open_session: Callable[[str], Any], power: str, cores: int) -> None:
        super().__init__(open_session(power), "onnxruntime")
        self.power = power
        self._open_session = open_session
        self._cores = min(cores, MOST)
        self._pool: ThreadPoolExecutor | None = None

    @property
    def in_flight(self) -> int:
        """Batches that may be submitted before the first result is taken.

        One more than run at once, so that no core waits for whoever takes the results.
        """
        return self._cores + 1 if self.power == "throughput" and self._cores > 1 else 1

    def set_power(self, power: str) -> None:
        """Change it. ONNX Runtime can do so only by opening the file again."""
        if power != self.power:
            self._end_pool()
            self._session = self._open_session(power)
            self.power = power

    def submit(self, frames: NDArray[np.uint8]) -> Running:
        """Queue a batch; the `result()` of what comes back is its answer."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._cores, thread_name_prefix="edgecnn-infer")
        return Running(self._pool.submit(self._timed, frames))

    def _timed(self, frames: NDArray[np.uint8]) -> tuple[NDArray[Any], int]:
        began = perf_counter_ns()
        return self.infer(frames), perf_counter_ns() - began

    def _end_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        self._end_pool()
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
