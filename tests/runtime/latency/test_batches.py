from __future__ import annotations

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency.batches import batch_rates

from .fakes import FakeClock

FRAMES = [np.zeros((48, 64, 3), np.uint8)] * 3


class Batched:
    """4 ms a batch and 1 ms a frame; at most eight of them."""

    name, input_shape = "fake", (32, 32, 3)

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def infer(self, frames: np.ndarray) -> np.ndarray:
        if len(frames) > 8:
            raise BackendError(f"the engine takes 1 to 8 frames, got {len(frames)}")
        self.clock.sleep(0.004 + 0.001 * len(frames))
        return np.full((len(frames), 3), 1 / 3, np.float32)

    def close(self) -> None: ...


class Pipelined(Batched):
    """Takes a second batch while the first, which takes 10 ms, is on its way."""

    in_flight = 2

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.free = 0.0

    def submit(self, frames: np.ndarray) -> Pipelined.Answer:
        self.free = max(self.free, self.clock.now / 1e9) + 0.010
        return Pipelined.Answer(self.clock, self.free)

    class Answer:
        def __init__(self, clock: FakeClock, done: float) -> None:
            self.clock, self.done = clock, done

        def result(self) -> np.ndarray:
            self.clock.sleep(max(0.0, self.done - self.clock.now / 1e9))
            return np.zeros((1, 3), np.float32)


def test_each_size_has_its_frames_a_second(classify: Classifier) -> None:
    clock = FakeClock()
    model = Classifier(classify.manifest, Batched(clock))
    one, eight, sixteen = batch_rates(model, FRAMES, (1, 8, 16), clock=clock)
    assert one.fps == pytest.approx(200, rel=0.01)
    assert eight.fps == pytest.approx(8 / 0.012, rel=0.01)
    assert eight.p50_ms == pytest.approx(12, abs=0.1)
    assert (sixteen.runs, sixteen.why) == (0, "the engine takes 1 to 8 frames, got 16")


def test_a_backend_that_takes_the_next_before_it_has_answered_is_kept_busy(
    classify: Classifier,
) -> None:
    clock = FakeClock()
    model = Classifier(classify.manifest, Pipelined(clock))
    (found,) = batch_rates(model, FRAMES, (1,), clock=clock)
    assert found.fps == pytest.approx(100, rel=0.03)
    assert found.p50_ms == pytest.approx(20, abs=0.5), "it waits for the one before it"
