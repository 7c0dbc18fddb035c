"""The pick and the front, against every other way to choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecnn_export.sweep.table import Row, pick, promising, with_front


def row(
    top1: float | None, ms: float | None, *, width: float = 1.0, predicted: bool = False
) -> Row:
    return Row(
        width=width,
        resolution=224,
        precision="fp32",
        parameters=int(width * 1e6),
        macs=int(width * 1e8),
        top1=top1,
        top5=top1,
        p50_ms=ms,
        p90_ms=ms,
        p99_ms=ms,
        predicted=predicted,
        bytes=1,
        engines=(),
        kept=0,
        backend="onnxruntime",
        device="a device",
        pareto=False,
        bundle="",
    )


def some_rows(seed: int, count: int = 40) -> list[Row]:
    """Few values, so that many are equal; some are missing, some predicted."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        top1 = None if rng.random() < 0.1 else round(float(rng.integers(50, 60)) / 100, 2)
        ms = None if rng.random() < 0.1 else float(rng.integers(1, 12))
        width = float(rng.integers(1, 5)) / 4
        rows.append(row(top1, ms, width=width, predicted=bool(rng.random() < 0.2)))
    return rows


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [0.5, 2.0, 5.5, 100.0])
def test_no_measured_variant_within_the_budget_is_better_than_the_pick(
    seed: int, budget: float
) -> None:
    rows = some_rows(seed)
    found = pick(rows, budget_ms=budget)
    within = [
        r
        for r in rows
        if r.top1 is not None and r.p50_ms is not None and r.p50_ms <= budget and not r.predicted
    ]
    if not within:
        assert found is None
        return
    assert found in within
    best = max(r.top1 or 0 for r in within)
    assert found.top1 == best
    assert found.p50_ms == min(r.p50_ms or 0 for r in within if r.top1 == best)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("least", [0.5, 0.55, 0.59, 0.99])
def test_no_measured_variant_that_is_accurate_enough_is_faster_than_the_pick(
    seed: int, least: float
) -> None:
    rows = some_rows(seed)
    found = pick(rows, min_top1=least)
    enough = [
        r
        for r in rows
        if r.top1 is not None and r.p50_ms is not None and r.top1 >= least and not r.predicted
    ]
    if not enough:
        assert found is None
        return
    assert found in enough
    assert found.p50_ms == min(r.p50_ms or 0 for r in enough)


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_nothing_dominates(seed: int) -> None:
    rows = with_front(some_rows(seed))
    known = [r for r in rows if r.top1 is not None and r.p50_ms is not None]
    for mine in rows:
        worse = any(
            (o.top1 or 0) >= (mine.top1 or 0)
            and (o.p50_ms or 0) <= (mine.p50_ms or 0)
            and (o.top1, o.p50_ms) != (mine.top1, mine.p50_ms)
            for o in known
        )
        assert mine.pareto == (mine in known and not worse)


def test_nothing_is_picked_without_a_limit() -> None:
    assert pick(some_rows(0)) is None


def test_of_two_that_are_equal_the_smaller_is_picked() -> None:
    large, small = row(0.9, 2.0, width=1.0), row(0.9, 2.0, width=0.5)
    assert pick([large, small], budget_ms=3) == small


def test_a_predicted_variant_is_named_and_not_picked() -> None:
    measured, guessed = row(0.8, 2.0), row(0.9, 2.5, width=0.5, predicted=True)
    found = pick([measured, guessed], budget_ms=3)
    assert found == measured
    assert promising([measured, guessed], found, budget_ms=3, min_top1=None) == guessed
    worse = replace(guessed, top1=0.7)
    assert promising([measured, worse], found, budget_ms=3, min_top1=None) is None
