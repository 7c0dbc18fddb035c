"""How much memory this process has."""

from __future__ import annotations

import re
import sys

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
