"""Intervals hold the true figure as often as they promise, and say where they know nothing."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.evaluation.intervals import bootstrap, compare, resample, wilson
from edgecnn.evaluation.metrics import measure, truth_ranks


def _answers(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), targets] += 1.5
    p = np.exp(logits)
    # In steps, so that many scores are equal.
    return np.round(p / p.sum(1, keepdims=True), 2).astype(np.float32), targets


def test_each_sample_is_measured_as_if_its_images_stood_there_repeatedly() -> None:
    p, y = _answers(60, 4, seed=0)
    intervals = bootstrap(p, y, truth_ranks(p, y), seed=3)
    weights = np.concatenate(list(resample(60, seed=3)), axis=1)
    samples = [np.repeat(np.arange(60), w) for w in weights.T]
    assert len(samples) == 1000
    assert {len(s) for s in samples} == {60}
    by_hand = [measure(p[s], y[s]) for s in samples]
    for name in ("top1", "top5", "precision", "recall", "specificity", "accuracy", "map"):
        if name == "top5":  # of four classes always right
            assert intervals[name] is None
            continue
        values = [getattr(m, name) for m in by_hand]
        assert intervals[name] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-9)


def test_the_interval_of_top1_holds_the_true_figure_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        right = rng.random(150) < 0.8
        p = np.where(right[:, None], [[0.9, 0.1]], [[0.1, 0.9]]).astype(np.float32)
        y = np.zeros(150, np.int64)
        interval = bootstrap(p, y, truth_ranks(p, y))["top1"]
        assert interval is not None
        held += interval[0] <= 0.8 <= interval[1]
    assert 180 <= held <= 198


def test_the_same_seed_gives_the_same_intervals() -> None:
    p, y = _answers(80, 3, seed=1)
    ranks = truth_ranks(p, y)
    assert bootstrap(p, y, ranks, seed=5) == bootstrap(p, y, ranks, seed=5)
    assert bootstrap(p, y, ranks, seed=5) != bootstrap(p, y, ranks, seed=6)


def test_images_that_are_all_right_do_not_prove_perfection() -> None:
    y = np.arange(30) % 3
    p = np.eye(3, dtype=np.float32)[y]
    intervals = bootstrap(p, y, truth_ranks(p, y))
    assert intervals["top1"] == pytest.approx((0.8865, 1.0), abs=1e-4)
    assert intervals["recall"] is None
    assert intervals["map"] is None


def test_shares_have_wilsons_interval() -> None:
    # Of Newcombe (1998), Two-sided confidence intervals for the single proportion, table I.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_a_gain_on_the_same_images_is_told_apart_from_chance() -> None:
    rng = np.random.default_rng(2)
    first = rng.random(500) < 0.80
    second = first | (rng.random(500) < 0.3)
    found = compare(first, second)
    assert found.difference == pytest.approx(second.mean() - first.mean())
    assert (found.gained, found.lost) == (int((second & ~first).sum()), 0)
    assert found.interval is not None
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    assert found.p < 1e-6
    # Paired: half as wide as what two independent sets would leave open.
    apart = np.sqrt(first.var() / 500 + second.var() / 500) * 1.96
    assert found.interval[1] - found.interval[0] < 1.4 * apart


def test_mcnemars_test_is_exact() -> None:
    first, second = np.zeros(30, bool), np.zeros(30, bool)
    second[:9] = True
    first[9:11] = True
    found = compare(first, second)
    # 11 tosses, 2 of them heads: 2 · (1 + 11 + 55) / 2048.
    assert found.p == pytest.approx(134 / 2048, abs=1e-12)
    turned = compare(second, first)
    assert (turned.p, turned.difference) == (found.p, -found.difference)


def test_two_classifiers_that_are_right_together_cannot_be_parted() -> None:
    right = np.random.default_rng(0).random(40) < 0.5
    found = compare(right, right.copy())
    assert (found.difference, found.interval, found.p) == (0, None, 1)


def test_thousands_of_images_that_differ_do_not_overflow() -> None:
    first = np.arange(6000) % 2 == 0
    assert compare(first, ~first).p == pytest.approx(1.0)
    assert compare(np.zeros(6000, bool), np.ones(6000, bool)).p == 0
