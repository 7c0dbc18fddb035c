from __future__ import annotations

import random

import pytest

from edgecnn_runtime.latency import ratios
from edgecnn_runtime.latency.ratios import apart, paired


def drifting(source: random.Random, count: int, factor: float) -> tuple[list[float], list[float]]:
    """Medians of turns on a machine whose speed wanders by 20%: (ours, theirs)."""
    speeds = [source.uniform(1, 1.2) for _ in range(count)]
    ours = [10 * factor * speed * source.gauss(1, 0.01) for speed in speeds]
    return ours, [10 * speed * source.gauss(1, 0.01) for speed in speeds]


def test_what_drifts_for_both_is_not_in_the_ratio() -> None:
    ratio, low, high = paired(*drifting(random.Random(1), 9, 1.3))
    assert low <= 1.3 <= high
    assert ratio == pytest.approx(1.3, rel=0.05)


def test_the_interval_of_equals_holds_one_nine_times_of_ten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ratios, "RESAMPLES", 400)
    source, held = random.Random(2), 0
    for _ in range(200):
        _, low, high = paired(*drifting(source, 5, 1.0))
        held += low <= 1 <= high
    assert held >= 180


def test_two_times_are_resampled_each_by_itself() -> None:
    same = [10.0, 11.0, 9.0, 10.5, 10.2]
    ratio, low, high = apart(same, list(reversed(same)))
    assert ratio == 1
    assert low < 1 < high
    assert apart([20.0] * 5, [10.0] * 5) == (2, 2, 2)
