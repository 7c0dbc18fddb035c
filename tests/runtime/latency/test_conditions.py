from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn_runtime.latency import conditions
from edgecnn_runtime.latency.conditions import ClockReading, Conditions, Observation
from edgecnn_runtime.machine.access import Machine

QUIET = Conditions(
    power_mode=None,
    clocks=(ClockReading("CPU, 2 cores", "performance", 2400, 2400, 2400),),
    other_cores=0.05,
    stolen_cores=0.0,
    throttled=(),
    yardstick_ms=(0.200, 0.204),
)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "cores", lambda: 2)


def test_a_quiet_machine_has_no_warning() -> None:
    assert QUIET.warnings() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"other_cores": 1.5}, "other processes kept 1.50 of 2 cores busy"),
        ({"stolen_cores": 0.5}, "the host took 0.50 of 2 cores away (steal)"),
        ({"throttled": ("the GPU's heat",)}, "slowed by the GPU's heat"),
        ({"yardstick_ms": (0.2, 0.25)}, "took 0.200 ms before and 0.250 after"),
        (
            {"clocks": (ClockReading("GPU", "", 2100, 1400, 2100),)},
            "the clock of GPU went from 2100 to 1400 MHz",
        ),
    ],
)
def test_what_disturbs_is_named_with_its_size(change: dict[str, object], words: str) -> None:
    (warning,) = replace(QUIET, **change).warnings()
    assert words in warning


def test_an_observation_sees_what_changed_between_its_ends(tmp_path: Path) -> None:
    policy = tmp_path / "sys/devices/system/cpu/cpufreq/policy0"
    throttle = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    for folder in (policy, throttle, tmp_path / "proc"):
        folder.mkdir(parents=True)
    for name, value in {
        **{"affected_cpus": "0 1", "scaling_governor": "schedutil", "scaling_driver": "acpi"},
        **{"scaling_cur_freq": "3000000", "scaling_min_freq": "800000"},
        **{"scaling_max_freq": "3500000", "cpuinfo_max_freq": "3500000"},
    }.items():
        (policy / name).write_text(value)
    count = throttle / "package_throttle_count"
    count.write_text("3")
    machine = Machine(root=tmp_path, system="linux", ask=lambda *_: "")
    observed = Observation(machine)
    (policy / "scaling_cur_freq").write_text("1200000")
    count.write_text("5")
    found = observed.end()
    assert found.clocks == (ClockReading("CPU, 2 cores", "schedutil", 3000, 1200, 3500),)
    assert found.throttled == ("the processor was throttled 5 times since the start",)
    assert found.other_cores is None, "no /proc/stat"


def test_throttling_of_long_ago_is_not_held_against_this_measurement(tmp_path: Path) -> None:
    throttle = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    throttle.mkdir(parents=True)
    (throttle / "package_throttle_count").write_text("3")
    machine = Machine(root=tmp_path, system="linux", ask=lambda *_: "")
    assert Observation(machine).end().throttled == ()
