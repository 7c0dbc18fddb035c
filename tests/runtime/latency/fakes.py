"""Clocks and backends that take exactly as long as they are told to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgecnn_runtime.classifier import Classifier


class FakeClock:
    """A clock that only moves when someone sleeps, or looks at it."""

    def __init__(self, look_ns: int = 100) -> None:
        self.now, self.look_ns = 0, look_ns
        self.slept = 0.0

    def now_ns(self) -> int:
        self.now += self.look_ns
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += round(seconds * 1e9)


class FakeBackend:
    """Takes the delays in turn, in seconds, and the last of them for ever."""

    name, input_shape = "fake", (32, 32, 3)

    def __init__(self, pause: Callable[[float], None], delays: Sequence[float]) -> None:
        self.pause, self.delays, self.calls = pause, delays, 0

    def infer(self, frames: np.ndarray) -> np.ndarray:
        delay = self.delays[min(self.calls, len(self.delays) - 1)]
        self.calls += 1
        self.pause(delay)
        return np.full((len(frames), 3), 1 / 3, np.float32)

    def close(self) -> None: ...


def fake_model(
    real: Classifier, pause: Callable[[float], None], delays: Sequence[float]
) -> Classifier:
    """A classifier whose network takes these delays."""
    return Classifier(real.manifest, FakeBackend(pause, delays))
