"""Conditions, energy and memory of one measurement, taken around it and not inside."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from edgecnn_runtime.latency.conditions import Conditions, Observation
from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.energy import find_meters
from edgecnn_runtime.machine.memory import resident_mb
from edgecnn_runtime.machine.nvml import find_nvml


@dataclass(frozen=True)
class Energy:
    """What a counter saw, pauses included and whoever used it: a counter knows no processes.

    Attributes:
        of: what it counts.
        is_sampled: summed up from readings of power, twenty a second.
    """

    of: str
    joules: float
    mean_w: float
    mj_per_frame: float
    is_sampled: bool


@dataclass(frozen=True)
class Memory:
    """Of the process, in MiB.

    Attributes:
        peak_mb: the most that was resident until the end, interpreter and libraries included.
        opening_mb: what opening the bundle and the warm-up have added.
        gpu_mb: what the card's memory in use has grown by since before opening; None where the
            driver does not tell, and on a Jetson, where it is the same memory.
    """

    peak_mb: float
    opening_mb: float
    gpu_mb: float | None


class Watch:
    """Made before a bundle is opened; entered around the measured frames.

    Attributes:
        closed: why a counter that is there could not be read.
    """

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()
        self._nvml = find_nvml(self._machine)
        self._before = self._opened = resident_mb(self._machine)
        self._gpu_mb = self._nvml.used_mb() if self._nvml else None
        self.closed: list[str] = []
        self.conditions: Conditions | None = None
        self._joules: list[tuple[str, bool, float]] = []
        self._seconds = 0.0

    def computes_on(self, backend: str) -> Watch:
        """Leave the GPU out where none computes."""
        if "cuda" not in backend and "tensorrt" not in backend:
            self._nvml, self._gpu_mb = None, None
        return self

    def __enter__(self) -> Watch:
        self._opened = resident_mb(self._machine)
        self._meters, self.closed = find_meters(self._machine, self._nvml)
        self._observed = Observation(self._machine, self._nvml)
        for meter in self._meters:
            meter.start()
        self._began = perf_counter()
        return self

    def __exit__(self, *raised: object) -> None:
        self._seconds = perf_counter() - self._began
        read = [(meter.name, meter.is_sampled, meter.stop()) for meter in self._meters]
        self._joules = [(name, sampled, j) for name, sampled, j in read if j is not None]
        if raised[0] is None:
            self.conditions = self._observed.end()

    def energy(self, frames: int) -> list[Energy]:
        """Of the measured frames, an entry a counter."""
        seconds = self._seconds or 1.0
        return [
            Energy(
                of=name,
                joules=round(joules, 4),
                mean_w=round(joules / seconds, 3),
                mj_per_frame=round(1e3 * joules / frames, 4),
                is_sampled=sampled,
            )
            for name, sampled, joules in self._joules
        ]

    def memory(self) -> Memory | None:
        """As of now; None where the system does not tell."""
        now = resident_mb(self._machine)
        if now is None or self._before is None or self._opened is None:
            return None
        used = self._nvml.used_mb() if self._nvml else None
        grown = None if used is None or self._gpu_mb is None else max(0.0, used - self._gpu_mb)
        return Memory(
            peak_mb=round(now[1], 1),
            opening_mb=round(max(0.0, self._opened[0] - self._before[0]), 1),
            gpu_mb=None if grown is None else round(grown, 1),
        )
