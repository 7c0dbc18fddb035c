from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.conditions import ClockReading, Conditions
from edgecnn_runtime.latency.profile import Network, Profile, profile
from edgecnn_runtime.latency.turns import BLOCKS, labels, merge, ratios
from edgecnn_runtime.latency.watch import Energy, Memory

from .fakes import FakeClock, fake_model


def turn(
    classify: Classifier, ms: float, bundle: str = "a.bundle", precision: str = "fp32"
) -> Profile:
    clock = FakeClock()
    model = fake_model(classify, clock.sleep, [ms / 1e3])
    found = profile(model, [np.zeros((48, 64, 3), np.uint8)], count=20, clock=clock)
    return replace(found, network=Network(bundle, "net", precision, (32, 32, 3)))


def test_turns_are_one_profile_of_all_their_frames(classify: Classifier) -> None:
    whole = merge([turn(classify, ms) for ms in (10, 10, 40)])
    assert (whole.frames, whole.turns) == (60, 3)
    assert whole.blocks_ms == pytest.approx([10, 10, 40], abs=0.1)
    assert whole.end_to_end.p50 == pytest.approx(10, abs=0.1)
    assert whole.end_to_end.p90 == pytest.approx(40, abs=0.1)
    assert whole.stages.infer.max == pytest.approx(40, abs=0.1)
    assert whole.throughput_fps == pytest.approx(60 / (0.2 + 0.2 + 0.8), rel=0.01)
    assert whole.backends == {"fake": 60}


def test_energy_and_memory_of_turns_are_summed_and_the_most(classify: Classifier) -> None:
    one = turn(classify, 10)
    first = replace(one, energy=[Energy("board", 2.0, 10.0, 100.0, False)])
    second = replace(
        first,
        energy=[Energy("board", 4.0, 20.0, 200.0, False)],
        memory=Memory(120.0, 60.0, None),
    )
    whole = merge([first, second])
    (energy,) = whole.energy
    assert (energy.joules, energy.mean_w, energy.mj_per_frame) == (6, 15, 150)
    assert whole.memory == Memory(120.0, 60.0, None)
    (energy,) = merge([first, replace(one, energy=[]), second]).energy
    assert energy.mj_per_frame == 150, "of the turns in which it was read"


def test_conditions_of_turns_are_the_mean_load_and_the_quickest_yardstick(
    classify: Classifier,
) -> None:
    one = Conditions(None, (ClockReading("CPU", "", 3000, 2900, 3000),), 0.2, None, (), (0.3, 0.2))
    two = replace(one, other_cores=0.6, throttled=("heat",), yardstick_ms=(0.2, 0.4))
    turns = [replace(turn(classify, 10), conditions=seen) for seen in (one, two)]
    found = merge(turns).conditions
    assert found is not None
    assert found.other_cores == pytest.approx(0.4)
    assert (found.stolen_cores, found.throttled) == (None, ("heat",))
    assert found.yardstick_ms == (0.2, 0.2)


def test_a_warning_of_some_turns_names_them_and_differs_in_no_figure(
    classify: Classifier,
) -> None:
    one = turn(classify, 10)
    turns = [
        replace(one, warnings=["others kept 1.5 cores busy", "hot"]),
        replace(one, warnings=["others kept 1.7 cores busy"]),
    ]
    assert merge(turns).warnings == ["others kept 1.5 cores busy", "hot (turn 1 of 2)"]


def test_ratios_are_to_the_first_with_an_interval_of_the_turns(classify: Classifier) -> None:
    slow = [turn(classify, ms, "b.bundle") for ms in (15, 18, 15)]
    fast = [turn(classify, ms) for ms in (10, 12, 10)]
    (found,) = ratios([merge(fast), merge(slow)], BLOCKS)
    assert (found.what, found.to, found.how) == ("b.bundle", "a.bundle", BLOCKS)
    assert found.ratio == pytest.approx(1.5, abs=0.01)
    assert found.low == pytest.approx(1.5, abs=0.01), "all turns agree, however they drift"
    assert found.turns == 3


def test_one_turn_has_a_ratio_and_no_interval(classify: Classifier) -> None:
    (found,) = ratios([turn(classify, 10), turn(classify, 20, "b.bundle")], BLOCKS)
    assert found.ratio == pytest.approx(2, abs=0.01)
    assert (found.low, found.high) == (None, None)


def test_names_are_what_differs(classify: Classifier) -> None:
    a, b = turn(classify, 10), turn(classify, 10, precision="int8")
    assert labels([a, b]) == ["fp32", "int8"]
    assert labels([a, turn(classify, 10, "b.bundle")]) == ["a.bundle", "b.bundle"]
    assert labels([a, a]) == ["a.bundle #1", "a.bundle #2"]
    assert labels([a, turn(classify, 10, "b.bundle", "int8")]) == [
        "a.bundle, fp32",
        "b.bundle, int8",
    ]
