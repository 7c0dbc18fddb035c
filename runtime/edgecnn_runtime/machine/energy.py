"""Counters of energy: of the processor (RAPL), of an NVIDIA GPU (NVML), of a Jetson (INA3221)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Protocol

from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.nvml import Nvml

_RAPL = "sys/class/powercap/*-rapl:*"
# JetPack 5 and later; each channel has a label, a voltage in mV and a current in mA.
_INA = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label"
_OLD_INA = "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*"  # JetPack 4, power in mW
_WHOLE = ("VDD_IN", "POM_5V_IN")  # the module's supply: the other rails are parts of it
_EVERY_S = 0.05


class Meter(Protocol):
    """Tells how much energy was used since it was started."""

    name: str  # what it measures
    is_sampled: bool  # summed up from readings of power

    def start(self) -> None: ...
    def stop(self) -> float | None: ...  # joules; None where it could not be read


class Counter:
    """The hardware counts itself.

    Args:
        joules: reads it.
        wraps: where it begins again at 0, in joules; None for never.
    """

    is_sampled = False

    def __init__(
        self, name: str, joules: Callable[[], float | None], wraps: float | None = None
    ) -> None:
        self.name = name
        self._joules = joules
        self._wraps = wraps
        self._began: float | None = None

    def start(self) -> None:
        self._began = self._joules()

    def stop(self) -> float | None:
        ended = self._joules()
        if ended is None or self._began is None:
            return None
        used = ended - self._began
        return used + self._wraps if used < 0 and self._wraps else used


class Sampled:
    """Power that is read twenty times a second by a thread of its own, and summed up."""

    is_sampled = True

    def __init__(
        self,
        name: str,
        watts: Callable[[], float | None],
        every_s: float = _EVERY_S,
        now: Callable[[], float] = perf_counter,
    ) -> None:
        self.name = name
        self._watts, self._every, self._now = watts, every_s, now
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._read: list[tuple[float, float]] = []  # (when, watts)

    def start(self) -> None:
        self._read = []
        self._done.clear()
        self._sample()
        self._thread = threading.Thread(target=self._run, daemon=True, name="edgecnn power")
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        watts = self._watts()
        if watts is not None:
            self._read.append((self._now(), watts))

    def stop(self) -> float | None:
        self._done.set()
        if self._thread:
            self._thread.join()
        self._sample()
        pairs = list(zip(self._read, self._read[1:], strict=False))
        if not pairs:
            return None
        return sum((end - begin) * (a + b) / 2 for (begin, a), (end, b) in pairs)


def find_meters(
    machine: Machine | None = None, nvml: Nvml | None = None
) -> tuple[list[Meter], list[str]]:
    """(what can be read, why something that is there cannot)."""
    machine = machine or Machine()
    rapl, closed = _rapl(machine)
    found: list[Meter] = [*rapl, *_ina(machine)]
    if nvml is not None:
        if nvml.joules() is not None:
            found.append(Counter("GPU board", nvml.joules))
        elif nvml.watts() is not None:
            found.append(Sampled("GPU board", nvml.watts))
    return found, closed


def _rapl(machine: Machine) -> tuple[list[Meter], list[str]]:
    """Whole packages and their memory; cores are parts of a package, and it of the platform."""
    found: list[Meter] = []
    closed = False
    for zone in machine.find(_RAPL):
        name = machine.text(zone / "name")
        if not name.startswith(("package", "dram")):
            continue
        now = machine.number(zone / "energy_uj")
        if now is None:
            closed = True
            continue
        most = machine.number(zone / "max_energy_range_uj")
        found.append(
            Counter(f"processor {name}", _microjoules(machine, zone), most / 1e6 if most else None)
        )
    why = ["RAPL counts the processor's energy and only root may read it (energy_uj)"]
    return found, why if closed else []


def _microjoules(machine: Machine, zone: Path) -> Callable[[], float | None]:
    def joules() -> float | None:
        value = machine.number(zone / "energy_uj")
        return None if value is None else value / 1e6

    return joules


def _ina(machine: Machine) -> list[Meter]:
    """A Jetson's rails; the module's supply alone where it has one, since that is all of them."""
    rails: dict[str, Callable[[], float | None]] = {}
    for label in machine.find(_INA):
        number, name = label.name[2:-6], machine.text(label)
        if machine.number(label.parent / f"curr{number}_input") is not None:
            rails[name] = _volts_times_amperes(machine, label.parent, number)
    for label in machine.find(_OLD_INA):
        number, name = label.name.rpartition("_")[2], machine.text(label)
        rails[name] = _milliwatts(machine, label.parent / f"in_power{number}_input")
    whole = [name for name in _WHOLE if name in rails]
    return [Sampled(f"Jetson {name}", rails[name]) for name in whole or sorted(rails)]


def _volts_times_amperes(machine: Machine, folder: Path, number: str) -> Callable[[], float | None]:
    def watts() -> float | None:
        volts = machine.number(folder / f"in{number}_input")
        amperes = machine.number(folder / f"curr{number}_input")
        return None if volts is None or amperes is None else volts * amperes / 1e6

    return watts


def _milliwatts(machine: Machine, path: Path) -> Callable[[], float | None]:
    def watts() -> float | None:
        value = machine.number(path)
        return None if value is None else value / 1e3

    return watts
