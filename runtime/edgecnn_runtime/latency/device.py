"""What machine a figure was measured on."""

from __future__ import annotations

import os
import platform
import re

from edgecnn_runtime.machine.access import Machine
from edgecnn_runtime.machine.driver import find_driver
from edgecnn_runtime.machine.jetson import find_jetson


def cpu_name(machine: Machine | None = None) -> str:
    """The processor's model, or the board's where the processor does not tell (Jetson)."""
    machine = machine or Machine()
    found = re.search(r"^model name\s*: (.+)$", machine.text("proc/cpuinfo"), re.MULTILINE)
    name = found[1] if found else machine.text("proc/device-tree/model")
    if not name and machine.system == "darwin":
        name = machine.ask("sysctl", "-n", "machdep.cpu.brand_string")
    return name or platform.processor() or platform.machine()


def cores() -> int:
    """The cores that this process may use: a container's share, not the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def gpu_name(machine: Machine | None = None) -> str | None:
    """The first GPU with its driver and compute capability, and a Jetson's board and power mode.

    None where no GPU can be used.
    """
    driver = find_driver(machine)
    if not driver.gpus:
        return None
    gpu, jetson = driver.gpus[0], find_jetson(machine)
    parts = [jetson.board if jetson else gpu.name, gpu.target]
    if jetson and jetson.power_mode:
        parts.append(f"power mode {jetson.power_mode.name}")
    return ", ".join([*parts, f"driver {driver.version or 'unknown'}"])


def device_of(backend: str) -> str:
    """The name of what a backend runs on."""
    on_gpu = gpu_name() if "cuda" in backend or "tensorrt" in backend else None
    return on_gpu or f"{cpu_name()}, {cores()} cores"
