"""What machine a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path


def cpu_name() -> str:
    """The processor's model, or the board's where the processor does not tell (Jetson)."""
    try:
        found = re.search(r"^model name\s*: (.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
        name = found[1] if found else _text("/proc/device-tree/model").strip("\0\n ")
    except OSError:
        name = _ask("sysctl", "-n", "machdep.cpu.brand_string")
    return name or platform.processor() or platform.machine()


def cores() -> int:
    """The cores that this process may use: a container's share, not the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def gpus() -> list[str]:
    """NVIDIA GPUs with driver and compute capability, as nvidia-smi names them."""
    asked = _ask(
        "nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"
    )
    return [line.strip() for line in asked.splitlines() if line.strip()]


def device_of(backend: str) -> str:
    """The name of what a backend runs on."""
    on_gpu = gpus() if "cuda" in backend or "tensorrt" in backend else []
    return on_gpu[0] if on_gpu else f"{cpu_name()}, {cores()} cores"


def _text(path: str) -> str:
    return Path(path).read_text(errors="replace")


def _ask(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
