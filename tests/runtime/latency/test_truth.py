"""Delays and stalls that are known are reported as they were, to within 0.2 ms."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.profile import Profile, profile
from edgecnn_runtime.latency.stages import Percentiles

from .fakes import FakeClock, fake_model

FRAMES, RATE = 3900, 60
WARM_UP = [0.008] * 31  # the first inference and thirty frames: 0.24 s of the same
FRACTIONS = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9, "max": 100}


@pytest.fixture(scope="module")
def delays() -> np.ndarray:
    """8 ms with jitter, and a stall of 0.2 s in a thousand: seconds."""
    source = np.random.default_rng(0)
    found = 0.008 + source.gamma(2.0, 0.0005, FRAMES)
    found[500::1000] = 0.2
    return found


def measured(classify: Classifier, delays: np.ndarray, rate: float | None) -> Profile:
    clock = FakeClock(look_ns=1_000)
    model = fake_model(classify, clock.sleep, [*WARM_UP, *delays])
    frames = [np.zeros((48, 64, 3), np.uint8)]
    found = profile(model, frames, count=FRAMES, rate=rate, clock=clock)
    assert found.warmup_frames == len(WARM_UP) - 1
    return found


def waited(delays: np.ndarray) -> tuple[np.ndarray, int]:
    """(from due to done of each frame, late starts), by Lindley's recursion for a queue."""
    done, late, found = 0.0, 0, []
    for number, delay in enumerate(delays, start=1):
        due = number / RATE
        late += done > due
        done = max(due, done) + delay
        found.append(done - due)
    return np.array(found), late


def same(got: Percentiles, seconds: np.ndarray) -> None:
    figures = asdict(got)
    for name, percent in FRACTIONS.items():
        true = 1e3 * np.percentile(seconds, percent, method="inverted_cdf")
        assert figures[name] == pytest.approx(true, abs=0.2), name


def test_a_closed_loop_reports_every_percentile_of_the_network(
    classify: Classifier, delays: np.ndarray
) -> None:
    found = measured(classify, delays, rate=None)
    same(found.stages.infer, delays)
    same(found.end_to_end, delays)


def test_a_paced_loop_reports_what_frames_waited_behind_stalls(
    classify: Classifier, delays: np.ndarray
) -> None:
    found = measured(classify, delays, rate=RATE)
    true, late = waited(delays)
    same(found.stages.infer, delays)
    same(found.end_to_end, true)
    assert found.late_starts == late


def test_a_closed_loop_hides_the_stalls_that_a_paced_one_shows(
    classify: Classifier, delays: np.ndarray
) -> None:
    closed = measured(classify, delays, rate=None).end_to_end
    paced = measured(classify, delays, rate=RATE).end_to_end
    assert closed.max == pytest.approx(200, abs=0.2)
    assert closed.p99 < 13, "four stalls of 3,900 frames are beyond the last percent"
    assert paced.p99 > 100, "and hold up a camera for more than that"
