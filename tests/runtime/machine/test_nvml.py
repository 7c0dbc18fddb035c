"""NVML and the energy counters of machines that are not this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecnn_runtime.machine.energy import Counter, Sampled, find_meters
from edgecnn_runtime.machine.nvml import find_nvml

from .fakes import FakeCuda, FakeNvml, machine, write


def test_the_gpu_is_the_one_that_cuda_runs_on(tmp_path: Path) -> None:
    library = FakeNvml()
    gpu = find_nvml(machine(tmp_path, nvidia=library, cuda=FakeCuda()))
    assert gpu is not None
    assert library.asked == b"0000:65:00.0"
    assert (gpu.watts(), gpu.limit_watts(), gpu.used_mb()) == (30, 70, 500)
    assert gpu.clock_mhz() == (1410, 2100)
    assert gpu.clock_mhz(memory=True) == (5001, 5001)
    assert gpu.slowed_by() == ("the GPU's heat (hardware)",), "idleness is no slowdown"
    assert gpu.slowed_ns() == {"the GPU's power limit": 0, "the GPU's heat": 5}


def test_a_driver_that_lacks_a_function_tells_nothing_of_it(tmp_path: Path) -> None:
    missing = ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage")
    gpu = find_nvml(machine(tmp_path, nvidia=FakeNvml(missing)))
    assert gpu is not None
    assert (gpu.joules(), gpu.watts()) == (None, None)
    assert find_meters(machine(tmp_path), gpu) == ([], [])


def test_no_driver_is_no_error(tmp_path: Path) -> None:
    assert find_nvml(machine(tmp_path)) is None


def test_the_energy_of_a_gpu_is_its_own_counters_difference(tmp_path: Path) -> None:
    library = FakeNvml()
    (meter,), _ = find_meters(machine(tmp_path), find_nvml(machine(tmp_path, nvidia=library)))
    meter.start()
    library.joules += 42
    assert meter.stop() == pytest.approx(42)
    assert not meter.is_sampled


def test_rapl_counts_packages_and_memory_over_its_wrap(tmp_path: Path) -> None:
    zone = "sys/class/powercap/intel-rapl:0"
    write(
        tmp_path,
        **{f"{zone}/name": "package-0", f"{zone}/energy_uj": "250000000"},
        **{f"{zone}/max_energy_range_uj": "262143328850"},
        **{"sys/class/powercap/intel-rapl:0:0/name": "core"},
        **{"sys/class/powercap/intel-rapl:0:0/energy_uj": "1"},
    )
    (meter,), why = find_meters(machine(tmp_path))
    assert meter.name == "processor package-0", "its cores are a part of it"
    assert why == []
    meter.start()
    write(tmp_path, **{f"{zone}/energy_uj": "262000000"})
    assert meter.stop() == pytest.approx(12)
    meter.start()
    write(tmp_path, **{f"{zone}/energy_uj": "1000000"})
    assert meter.stop() == pytest.approx(1 - 262 + 262143.328850)


def test_a_counter_that_only_root_may_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, **{"sys/class/powercap/intel-rapl:0/name": "package-0"})
    meters, why = find_meters(machine(tmp_path))
    assert meters == []
    assert "only root may read it" in why[0]


INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"


def test_a_jetsons_energy_is_its_modules_supply(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{f"{INA}/in1_label": "VDD_IN", f"{INA}/in1_input": "5000"},
        **{f"{INA}/curr1_input": "1200"},
        **{f"{INA}/in2_label": "VDD_CPU_GPU_CV", f"{INA}/in2_input": "5000"},
        **{f"{INA}/curr2_input": "400", f"{INA}/in4_label": "sum of shunt voltages"},
    )
    (meter,), _ = find_meters(machine(tmp_path))
    assert meter.name == "Jetson VDD_IN", "the other rails are parts of it"
    assert meter.is_sampled
    meter.start()
    assert meter.stop() is not None


def test_sampled_power_is_summed_up_over_time() -> None:
    moments, powers = iter([0.0, 2.0]), iter([10.0, 20.0])
    meter = Sampled("rail", lambda: next(powers), every_s=60, now=lambda: next(moments))
    meter.start()
    assert meter.stop() == pytest.approx(30), "two seconds at 15 W on average"


def test_a_counter_that_stops_answering_tells_nothing() -> None:
    answers: Any = iter([1.0, None])
    meter = Counter("broken", lambda: next(answers))
    meter.start()
    assert meter.stop() is None
