"""How much memory this process has."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import cache
from typing import Any

from edgecnn_runtime.machine.access import Machine


def resident_mb(machine: Machine | None = None) -> tuple[float, float] | None:
    """(now, the most so far) of this process; None where the system does not tell.

    Of Linux from its own figures: what `getrusage` tells is inherited from the parent process.
    """
    machine = machine or Machine()
    status = machine.text("proc/self/status")
    found = [re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE) for key in ("VmRSS", "VmHWM")]
    if found[0] and found[1]:
        return int(found[0][1]) / 1024, int(found[1][1]) / 1024
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    most_mb = most / (2**20 if machine.system == "darwin" else 2**10)
    return most_mb, most_mb


def give_back() -> bool:
    """Return to the system what the C library keeps free between its blocks; False where it cannot.

    Frames, threads and encoders of months leave such holes behind. Of glibc alone; 0.03 to 0.2 ms
    where it is done once a minute.
    """
    trim = _trim()
    if trim is None:
        return False
    trim(0)
    return True


@cache
def _trim() -> Any:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
