from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.profile import Profile, profile

MS = 1_000_000


class FakeClock:
    """A clock that only moves when someone sleeps, or looks at it, which takes 100 ns."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        self.now += 100
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


class FakeBackend:
    """Takes 10 ms, but 500 ms for the first call and 200 ms for the stalls."""

    name, input_shape = "fake", (32, 32, 3)

    def __init__(self, clock: FakeClock, stalls: tuple[int, ...] = ()) -> None:
        self.clock, self.stalls, self.calls = clock, stalls, 0

    def infer(self, frames: np.ndarray) -> np.ndarray:
        slow = 500 if self.calls == 0 else 200 if self.calls in self.stalls else 10
        self.calls += 1
        self.clock.sleep(slow / 1e3)
        return np.full((len(frames), 3), 1 / 3, np.float32)

    def close(self) -> None: ...


def measured(
    classify: Classifier,
    *stalls: int,
    rate: float | None = None,
    idle_s: float = 0,
    count: int = 50,
) -> Profile:
    clock = FakeClock()
    fake = Classifier(classify.manifest, FakeBackend(clock, stalls))
    frames = [np.zeros((48, 64, 3), np.uint8)]
    return profile(fake, frames, count=count, rate=rate, idle_s=idle_s, clock=clock)


def test_first_inference_and_warm_up_stand_apart_from_what_is_measured(
    classify: Classifier,
) -> None:
    result = measured(classify)
    assert result.first_ms == pytest.approx(500, abs=0.1)
    assert result.warmup_frames == 20
    assert result.frames == len(result.samples_ms) == 50
    assert result.stages.infer.max == pytest.approx(10, abs=0.1)
    assert result.end_to_end.p50 == pytest.approx(10, abs=0.1)
    assert result.throughput_fps == pytest.approx(100, rel=0.01)


def test_warm_up_goes_on_until_the_times_are_steady(classify: Classifier) -> None:
    assert measured(classify, *range(12, 30)).warmup_frames > 25


def test_a_paced_loop_charges_a_stall_to_the_frames_that_waited_behind_it(
    classify: Classifier,
) -> None:
    stall = 1 + 20 + 5  # after the first call and the warm-up, the sixth measured frame
    tight, paced = measured(classify, stall), measured(classify, stall, rate=30)
    assert sum(sample > 15 for sample in tight.samples_ms) == 1
    assert tight.late_starts == 0
    late = [sample for sample in paced.samples_ms if sample > 15]
    assert len(late) >= 6, "200 ms at 30 frames a second hold up at least six"
    assert paced.late_starts >= 5
    assert paced.end_to_end.max == pytest.approx(200, abs=1)
    assert paced.stages.infer.p50 == pytest.approx(10, abs=0.1)


def test_a_paced_loop_runs_at_its_rate(classify: Classifier) -> None:
    result = measured(classify, rate=50)
    assert result.throughput_fps == pytest.approx(50, rel=0.02)
    assert result.late_starts == 0


def test_idle_time_is_not_part_of_the_latency(classify: Classifier) -> None:
    result = measured(classify, idle_s=0.5, count=10)
    assert result.end_to_end.max == pytest.approx(10, abs=0.1)
    assert result.throughput_fps == pytest.approx(100, rel=0.01)


def test_a_real_session_is_profiled(
    classify: Classifier, photographs: dict[str, np.ndarray]
) -> None:
    result = profile(classify, list(photographs.values()), count=30)
    parts = dataclasses.asdict(result.stages)
    assert result.backend == "onnxruntime"
    assert all(0 < p["min"] <= p["p50"] <= p["p999"] <= p["max"] for p in parts.values())
    assert sum(p["min"] for p in parts.values()) <= result.end_to_end.max
