from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.profile import Profile, blocks_of, profile

from .fakes import FakeClock, fake_model


def measured(
    classify: Classifier,
    *stalls: int,
    rate: float | None = None,
    idle_s: float = 0,
    count: int = 50,
) -> Profile:
    """10 ms a frame, but 500 for the first call and 200 for the stalls."""
    clock = FakeClock()
    delays = [0.5, *(0.2 if call in stalls else 0.01 for call in range(1, 300))]
    fake = fake_model(classify, clock.sleep, delays)
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


def test_the_spread_and_the_medians_of_ten_parts_are_told(classify: Classifier) -> None:
    result = measured(classify, 25)
    assert result.cv == pytest.approx(1.95, abs=0.05), "one of 200 among fifty of 10 ms"
    assert result.blocks_ms == pytest.approx([10] * 10, abs=0.1)
    assert blocks_of([1.0, 2.0, 3.0]) == [[1.0], [2.0], [3.0]]
