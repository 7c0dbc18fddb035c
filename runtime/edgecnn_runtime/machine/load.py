"""Who uses the processor: this process, others, and the machine that ours is a guest of."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter

from edgecnn_runtime.machine.access import Machine

# Fields of /proc/stat: user nice system idle iowait irq softirq steal; guests count as users.
_BUSY = (0, 1, 2, 5, 6)
_STEAL = 7


@dataclass(frozen=True)
class CpuTimes:
    """Seconds of all cores together since some moment.

    Attributes:
        busy: of all processes; None where the system does not tell.
        stolen: in which a core of ours wanted to run and the host ran another guest.
        own: of this process and of the children it has waited for.
        wall: the clock.
    """

    busy: float | None
    stolen: float | None
    own: float
    wall: float


def cpu_times(machine: Machine | None = None) -> CpuTimes:
    """As of now."""
    machine = machine or Machine()
    line = machine.text("proc/stat").split("\n", 1)[0].split()
    own = os.times()
    mine, wall = sum(own[:4]), perf_counter()
    if len(line) <= _STEAL + 1 or line[0] != "cpu":
        return CpuTimes(None, None, mine, wall)
    ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in line[1:]]
    return CpuTimes(sum(ticks[i] for i in _BUSY), ticks[_STEAL], mine, wall)


@dataclass(frozen=True)
class Load:
    """Between two moments.

    Attributes:
        other_cores: how many cores others kept busy on average; None if not known.
        stolen_cores: how many the host took away.
    """

    other_cores: float | None
    stolen_cores: float | None


def load_between(before: CpuTimes, after: CpuTimes) -> Load:
    """/proc/stat counts in steps of 10 ms: an interval below a second says little."""
    wall = after.wall - before.wall
    if before.busy is None or after.busy is None or wall <= 0:
        return Load(None, None)
    own = after.own - before.own
    stolen = (after.stolen or 0.0) - (before.stolen or 0.0)
    return Load(
        other_cores=round(max(0.0, after.busy - before.busy - own) / wall, 3),
        stolen_cores=round(max(0.0, stolen) / wall, 3),
    )
