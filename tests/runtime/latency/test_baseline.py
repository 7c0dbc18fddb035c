from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.latency.baseline import against, read_baseline
from edgecnn_runtime.latency.conditions import Conditions
from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.latency.profile import Network, Profile, profile

from .fakes import FakeClock, fake_model

STEADY = Conditions(None, (), 0.0, 0.0, (), (0.2, 0.2))


def measured(classify: Classifier, factor: float = 1.0, seed: int = 0) -> Profile:
    """A network of 10 ms with 5% of jitter, or so many times as slow."""
    clock = FakeClock()
    source = np.random.default_rng(seed)
    delays = [0.01 * factor] * 31 + list(0.01 * factor * source.normal(1, 0.05, 200))
    model = fake_model(classify, clock.sleep, delays)
    found = profile(model, [np.zeros((48, 64, 3), np.uint8)], count=200, clock=clock, device="A")
    network = Network("a.bundle", "net", "fp32", (32, 32, 3))
    return replace(found, network=network, conditions=STEADY)


def test_the_same_again_is_no_regression(classify: Classifier) -> None:
    verdict = against(measured(classify, seed=1), measured(classify), "old.json")
    assert not verdict.is_regression
    assert not verdict.is_gain
    assert verdict.low < 1 < verdict.high


@pytest.mark.parametrize(("factor", "slower", "faster"), [(1.2, True, False), (0.8, False, True)])
def test_a_change_beyond_noise_and_tolerance_is_told(
    classify: Classifier, factor: float, slower: bool, faster: bool
) -> None:
    verdict = against(measured(classify, factor, seed=1), measured(classify), "old.json")
    assert (verdict.is_regression, verdict.is_gain) == (slower, faster)
    assert verdict.low <= factor <= verdict.high
    infer = next(change for change in verdict.changes if change.figure == "infer p50 ms")
    assert infer.ratio == pytest.approx(factor, rel=0.02)


def test_what_is_certain_and_within_the_tolerance_is_no_regression(classify: Classifier) -> None:
    now, then = measured(classify, 1.08), measured(classify)
    assert against(now, then, "old.json", tolerance=0.05).is_regression
    assert not against(now, then, "old.json", tolerance=0.10).is_regression


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"backend": "tensorrt"}, "backend was fake, is tensorrt"),
        ({"device": "B"}, "device was A, is B"),
        ({"network": Network("a.bundle", "net", "int8", (32, 32, 3))}, "precision was fp32"),
        ({"network": Network("b.bundle", "other", "fp32", (32, 32, 3))}, "the network was net"),
        ({"rate": 30.0}, "rate was max, is 30.0"),
        ({"conditions": replace(STEADY, power_mode="nvpmodel 15W")}, "is nvpmodel 15W"),
        ({"conditions": replace(STEADY, yardstick_ms=(0.3, 0.3))}, "takes 1.50 times as long"),
    ],
)
def test_what_says_nothing_about_each_other_is_not_compared(
    classify: Classifier, change: dict[str, object], words: str
) -> None:
    then = measured(classify)
    with pytest.raises(InputError, match=r"cannot be compared with old\.json") as error:
        against(replace(then, **change), then, "old.json")
    assert words in str(error.value)


def test_a_change_on_a_machine_that_was_disturbed_is_no_verdict(classify: Classifier) -> None:
    then, busy = measured(classify), replace(STEADY, other_cores=50.0 * cores())
    now = replace(measured(classify, 1.2, seed=1), conditions=busy)
    with pytest.raises(InputError, match="and the machine was disturbed") as error:
        against(now, then, "old.json")
    assert "now other processes kept" in str(error.value)
    same = replace(measured(classify, seed=1), conditions=busy)
    assert not against(same, then, "old.json").is_regression, "which a busy machine also shows"


def test_another_driver_and_another_folder_are_compared(classify: Classifier) -> None:
    then = replace(measured(classify), device="GPU, sm86, driver 570.1")
    network = Network("renamed.bundle", "net", "fp32", (32, 32, 3))
    now = replace(then, device="GPU, sm86, driver 580.2", network=network)
    assert not against(now, then, "old.json").is_regression


def test_a_profile_survives_its_file(classify: Classifier, tmp_path: Path) -> None:
    then = measured(classify)
    (tmp_path / "old.json").write_bytes(msgspec.json.encode(then))
    assert read_baseline(tmp_path / "old.json") == then


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a profile"),
        ('{"backend": "onnxruntime"}', "is not a profile"),
        ('{"profiles": [1, 2]}', "holds 2 profiles"),
    ],
)
def test_a_file_that_is_no_baseline_says_how_to_make_one(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_baseline(path)
    assert "edgecnn profile BUNDLE --turns 5 --json FILE" in str(error.value)
