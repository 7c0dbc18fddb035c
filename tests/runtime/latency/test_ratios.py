from __future__ import annotations

import numpy as np
import pytest

from edgecnn_runtime.latency import ratios
from edgecnn_runtime.latency.ratios import Blocks, apart, paired

FRAMES = 40


def drifting(source: np.random.Generator, turns: int, factor: float) -> tuple[Blocks, Blocks]:
    """Turns on a machine whose speed wanders by 20%, with jitter: (ours, theirs)."""

    def turn(ms: float) -> list[float]:
        return list(ms * source.normal(1, 0.01) + source.gamma(2, 0.2, FRAMES))

    speeds = source.uniform(1, 1.2, turns)
    return [turn(10 * factor * s) for s in speeds], [turn(10 * s) for s in speeds]


def test_what_drifts_for_both_is_not_in_the_ratio() -> None:
    ratio, low, high = paired(*drifting(np.random.default_rng(1), 9, 1.3))
    assert low <= 1.3 <= high
    assert ratio == pytest.approx(1.3, rel=0.05)
    assert high - low < 0.1


def test_the_interval_of_equals_holds_one_nine_times_of_ten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ratios, "RESAMPLES", 300)
    source, held = np.random.default_rng(2), 0
    for _ in range(100):
        _, low, high = paired(*drifting(source, 5, 1.0))
        held += low <= 1 <= high
    assert held >= 90


def test_two_times_are_resampled_each_by_itself() -> None:
    same = [[10.0, 11.0], [9.0, 9.5], [10.5, 10.0], [10.2, 10.1]]
    ratio, low, high = apart(same, list(reversed(same)))
    assert ratio == 1
    assert low < 1 < high
    assert apart([[20.0]] * 5, [[10.0]] * 5) == (2, 2, 2)
