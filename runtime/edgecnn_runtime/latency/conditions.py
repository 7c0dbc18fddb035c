"""What the machine was like while it was measured, and whether a figure of it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from time import perf_counter_ns

import numpy as np

from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.clocks import find_clocks, find_throttling
from edgecnn_runtime.machine.jetson import find_jetson
from edgecnn_runtime.machine.load import CpuTimes, cpu_times, load_between
from edgecnn_runtime.machine.nvml import Nvml

OTHERS = 0.1  # of all cores, kept busy by others or taken by the host, before it is a warning
CHANGED = 0.05  # of a clock
UNEVEN = 0.25  # coefficient of variation
_STEPS = 1 << 17  # of the yardstick: 0.15 ms


@dataclass(frozen=True)
class ClockReading:
    """A clock before and after; a figure without it says little.

    Attributes:
        governor: what decides, `performance`, `schedutil`, ...; "" where nobody tells.
        most_mhz: the highest that it may be set to now.
    """

    name: str
    governor: str
    before_mhz: int
    after_mhz: int
    most_mhz: int


@dataclass(frozen=True)
class Conditions:
    """The machine while a profile was taken.

    Attributes:
        power_mode: a Jetson's `nvpmodel`, or a GPU's power limit; None where there is neither.
        other_cores: cores that other processes kept busy on average; None where nobody tells.
        stolen_cores: cores that the host of this virtual machine gave to others.
        throttled: what heat or a power limit slowed.
        yardstick_ms: (before, after): a chain of additions that each wait for the one before. It
            takes a fixed number of clock cycles and no memory, so that it tells the clock of one
            core where no file does, as in a virtual machine.
    """

    power_mode: str | None
    clocks: tuple[ClockReading, ...]
    other_cores: float | None
    stolen_cores: float | None
    throttled: tuple[str, ...]
    yardstick_ms: tuple[float, float]

    def disturbances(self) -> list[str]:
        """What was slowed by heat, by others or by the host: it says little about the network."""
        found = [f"slowed by {reason}" for reason in self.throttled]
        limit = OTHERS * cores()
        if (self.other_cores or 0) > limit:
            found.append(f"other processes kept {self.other_cores:.2f} of {cores()} cores busy")
        if (self.stolen_cores or 0) > limit:
            found.append(f"the host took {self.stolen_cores:.2f} of {cores()} cores away (steal)")
        return found

    def warnings(self) -> list[str]:
        """Why the machine was not steady; empty where nothing is known to disturb."""
        found = self.disturbances()
        for clock in self.clocks:
            if _differ(clock.before_mhz, clock.after_mhz):
                change = f"{clock.before_mhz} to {clock.after_mhz} MHz"
                found.append(f"the clock of {clock.name} went from {change}")
        before, after = self.yardstick_ms
        if _differ(before, after):
            found.append(
                f"a fixed piece of arithmetic took {before:.3f} ms before and {after:.3f} after:"
                " the processor's clock changed, or others used the core"
            )
        return found


def together(several: Sequence[Conditions]) -> Conditions:
    """Those of several measurements of one thing: the mean load, and the least of the yardstick."""
    first, last = several[0], several[-1]
    befores, afters = zip(*(one.yardstick_ms for one in several), strict=True)
    ends = {clock.name: clock for clock in last.clocks}
    return replace(
        first,
        clocks=tuple(
            replace(clock, after_mhz=ends.get(clock.name, clock).after_mhz)
            for clock in first.clocks
        ),
        other_cores=_mean([one.other_cores for one in several]),
        stolen_cores=_mean([one.stolen_cores for one in several]),
        throttled=tuple(dict.fromkeys(what for one in several for what in one.throttled)),
        yardstick_ms=(min(befores), min(afters)),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 3) if known else None


def _differ(before: float, after: float) -> bool:
    return abs(after - before) > CHANGED * max(before, after)


def yardstick_ms(clock: Callable[[], int] = perf_counter_ns) -> float:
    """How long a fixed number of clock cycles of one core takes now: the least of 25.

    The least is without the moments in which the core did something else.
    """
    chain = np.ones(4096)
    total = np.empty(4096)
    spent = []
    for _ in range(25):
        began = clock()
        for _ in range(_STEPS // len(chain)):
            np.cumsum(chain, out=total)
        spent.append(clock() - began)
    return round(min(spent) / 1e6, 5)


@dataclass(frozen=True)
class _Moment:
    clocks: dict[str, tuple[str, int, int]]  # name -> (governor, now, most)
    times: CpuTimes
    gpu_slowed_ns: dict[str, int]
    throttled: tuple[str, ...]
    yardstick_ms: float


class Observation:
    """The conditions between its start and its end.

    Args:
        nvml: of the GPU that computes; None where none does.
    """

    def __init__(self, machine: Machine | None = None, nvml: Nvml | None = None) -> None:
        self._machine = machine or Machine()
        self._nvml = nvml
        self._yardstick = yardstick_ms()  # before the counters: it is load of ours
        self._began = self._look()

    def end(self) -> Conditions:
        """What was seen."""
        ended, began = self._look(), self._began
        slowed = [
            reason
            for reason, ns in ended.gpu_slowed_ns.items()
            if ns > began.gpu_slowed_ns.get(reason, 0)
        ]
        slowed += [what for what in ended.throttled if what not in began.throttled or "now" in what]
        now = self._nvml.slowed_by() if self._nvml else ()
        slowed += [reason for reason in now if reason not in slowed]
        load = load_between(began.times, ended.times)
        return Conditions(
            power_mode=self._power_mode(),
            clocks=tuple(
                ClockReading(name, governor, began.clocks.get(name, (governor, now))[1], now, most)
                for name, (governor, now, most) in ended.clocks.items()
            ),
            other_cores=load.other_cores,
            stolen_cores=load.stolen_cores,
            throttled=tuple(slowed),
            yardstick_ms=(self._yardstick, yardstick_ms()),
        )

    def _look(self) -> _Moment:
        clocks = {
            clock.name: (clock.governor, clock.now_mhz, clock.most_mhz)
            for clock in find_clocks(self._machine)
        }
        if self._nvml:
            for name, memory in (("GPU", False), ("GPU memory", True)):
                found = self._nvml.clock_mhz(memory=memory)
                if found:
                    clocks.setdefault(name, ("", *found))
        return _Moment(
            clocks=clocks,
            times=cpu_times(self._machine),
            gpu_slowed_ns=self._nvml.slowed_ns() if self._nvml else {},
            throttled=find_throttling(self._machine),
            yardstick_ms=self._yardstick,
        )

    def _power_mode(self) -> str | None:
        jetson = find_jetson(self._machine)
        if jetson and jetson.power_mode:
            return f"nvpmodel {jetson.power_mode.name}"
        limit = self._nvml.limit_watts() if self._nvml else None
        return None if limit is None else f"GPU limited to {limit:g} W"
