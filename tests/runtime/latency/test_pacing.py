from __future__ import annotations

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.pacing import Gap
from edgecnn_runtime.latency.profile import Profile, profile
from edgecnn_runtime.latency.warm_up import warm_up

from .fakes import FakeBackend, FakeClock

MS = 1_000_000


class Cooling(FakeBackend):
    """Takes 10 ms, and 30 where nothing was computed for 50 ms: its clocks have fallen."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock.sleep, [])
        self.clock, self.ended = clock, 0

    def infer(self, frames: np.ndarray) -> np.ndarray:
        is_cold = self.clock.now - self.ended > 50 * MS
        self.delays = [0.03 if is_cold else 0.01]
        answer = super().infer(frames)
        self.ended = self.clock.now
        return answer


def idle(classify: Classifier, keep_warm: str) -> tuple[Profile, FakeClock]:
    clock = FakeClock(look_ns=20_000)
    model = Classifier(classify.manifest, Cooling(clock))
    frames = [np.zeros((48, 64, 3), np.uint8)]
    found = profile(model, frames, count=20, idle_s=0.5, keep_warm=keep_warm, clock=clock)
    return found, clock


def test_a_pause_is_paid_for_by_the_frame_that_ends_it(classify: Classifier) -> None:
    found, _ = idle(classify, "no")
    assert found.end_to_end.p50 == pytest.approx(30, abs=0.3)


def test_inferences_in_the_pause_keep_the_frame_as_quick_as_in_a_tight_loop(
    classify: Classifier,
) -> None:
    found, _ = idle(classify, "infer")
    assert found.keep_warm == "infer"
    assert found.end_to_end.p50 == pytest.approx(10, abs=0.3)
    assert found.frames == 20, "the others are not counted"


def test_waiting_awake_never_sleeps() -> None:
    clock = FakeClock(look_ns=10_000)
    assert Gap(clock, "spin").wait(5 * MS)
    assert clock.slept == 0
    assert clock.now == pytest.approx(5 * MS, abs=20_000)


def test_an_inference_that_would_not_fit_into_the_pause_is_not_begun() -> None:
    clock = FakeClock()
    ran: list[int] = []
    gap = Gap(clock, "infer", lambda: ran.append(1) or clock.sleep(0.010), usual_ns=10 * MS)
    assert gap.wait(32 * MS)
    assert len(ran) == 2
    assert clock.now == pytest.approx(32 * MS, abs=0.2 * MS)


def test_a_frame_that_such_an_inference_overruns_starts_late() -> None:
    clock = FakeClock()
    gap = Gap(clock, "infer", lambda: clock.sleep(0.050), usual_ns=5 * MS)
    assert not gap.wait(30 * MS)


def test_warm_up_lasts_a_fifth_of_a_second_however_quick_the_network_is() -> None:
    clock = FakeClock()

    def frame() -> int:
        clock.sleep(0.001)
        return MS

    found = warm_up(frame, clock)
    assert found.frames == 200
    assert found.is_steady
    assert found.median_ns == MS


def test_warm_up_that_never_becomes_steady_is_given_up_and_says_so() -> None:
    clock, calls = FakeClock(), iter(range(1, 10_000))

    def frame() -> int:
        spent = int(20 * MS * 1.01 ** next(calls))  # slower and slower
        clock.sleep(spent / 1e9)
        return spent

    found = warm_up(frame, clock)
    assert not found.is_steady
    assert found.frames == 200
