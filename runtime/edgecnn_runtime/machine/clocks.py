"""How fast the processor and a Jetson's GPU may run now, and whether heat slows them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from edgecnn_runtime.machine.access import Machine

_POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
# JetPack 6 calls the GPU 17000000.gpu, JetPack 5 17000000.ga10b; Xavier's is 17000000.gv11b.
_GPUS = ("gpu", "ga10b", "gv11b")
_THROTTLES = ("Processor", "cpufreq-", "devfreq-")  # of /sys/class/thermal; a fan cools too


@dataclass(frozen=True)
class Clock:
    """A clock that the kernel scales.

    Attributes:
        name: `CPU` or `GPU`, with the cores that share it.
        governor: what decides: `performance`, `schedutil`, `powersave`, ...
        driver: of cpufreq; None for a GPU.
        now_mhz, least_mhz, most_mhz: the present frequency and what it may be set to now.
        hardware_mhz: the highest that the hardware has; a power mode may allow less.
    """

    name: str
    governor: str
    driver: str | None
    now_mhz: int
    least_mhz: int
    most_mhz: int
    hardware_mhz: int

    @property
    def is_locked(self) -> bool:
        """Whether it cannot change, as `jetson_clocks` sets it."""
        return self.least_mhz == self.most_mhz


def find_clocks(machine: Machine | None = None) -> tuple[Clock, ...]:
    """The clocks of the processor and of a Jetson's GPU; empty in most virtual machines.

    Cores that may do the same are one entry, with the highest of their present frequencies.
    """
    machine = machine or Machine()
    alike: dict[tuple[object, ...], list[Clock]] = defaultdict(list)
    for policy in machine.find(_POLICIES):
        clock = _cpu(machine, policy)
        if clock:
            limits = clock.least_mhz, clock.most_mhz, clock.hardware_mhz
            alike[clock.governor, clock.driver, limits].append(clock)
    cpus = [_together(clocks) for clocks in alike.values()]
    gpus = [_gpu(machine, path) for path in machine.find("sys/class/devfreq/*")]
    return (*cpus, *(gpu for gpu in gpus if gpu))


def _cpu(machine: Machine, policy: Path) -> Clock | None:
    names = ("scaling_cur_freq", "scaling_min_freq", "scaling_max_freq", "cpuinfo_max_freq")
    numbers = [machine.number(policy / name) for name in names]
    now, least, most, hardware = ((n or 0) // 1000 for n in numbers)
    if not most:
        return None
    return Clock(
        name=machine.text(policy / "affected_cpus"),
        governor=machine.text(policy / "scaling_governor"),
        driver=machine.text(policy / "scaling_driver") or None,
        now_mhz=now,
        least_mhz=least,
        most_mhz=most,
        hardware_mhz=hardware,
    )


def _together(clocks: list[Clock]) -> Clock:
    first = clocks[0]
    cores = sum(len(clock.name.split()) or 1 for clock in clocks)
    return Clock(
        name=f"CPU, {cores} core{'s' * (cores > 1)}",
        governor=first.governor,
        driver=first.driver,
        now_mhz=max(clock.now_mhz for clock in clocks),
        least_mhz=first.least_mhz,
        most_mhz=first.most_mhz,
        hardware_mhz=first.hardware_mhz,
    )


def _gpu(machine: Machine, path: Path) -> Clock | None:
    if path.name.rpartition(".")[2] not in _GPUS:
        return None
    numbers = [machine.number(path / name) for name in ("cur_freq", "min_freq", "max_freq")]
    now, least, most = ((n or 0) // 1_000_000 for n in numbers)
    steps = machine.text(path / "available_frequencies").split()
    return Clock(
        name="GPU",
        governor=machine.text(path / "governor"),
        driver=None,
        now_mhz=now,
        least_mhz=least,
        most_mhz=most,
        hardware_mhz=max((int(step) // 1_000_000 for step in steps), default=most),
    )


def find_throttling(machine: Machine | None = None) -> tuple[str, ...]:
    """What heat slows now, or has slowed since the machine was started; one phrase for each."""
    machine = machine or Machine()
    now = []
    for path in machine.find("sys/class/thermal/cooling_device*"):
        kind = machine.text(path / "type")
        if kind.startswith(_THROTTLES) or kind.endswith("-throttle-alert"):
            state = machine.number(path / "cur_state") or 0
            now += [f"{kind} is throttled now, step {state}"] if state > 0 else []
    counts = machine.find("sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count")
    times = max((machine.number(path) or 0 for path in counts), default=0)
    since = [f"the processor was throttled {times} times since the start"] if times else []
    return (*now, *since)
