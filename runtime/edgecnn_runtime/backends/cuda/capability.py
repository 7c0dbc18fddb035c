"""What the NVIDIA driver says of this machine's GPU."""

from __future__ import annotations

from edgecnn_runtime.machine.driver import find_driver


def compute_capability(device: int = 0) -> str | None:
    """The GPU's compute capability as `sm86`, or None without a GPU or a driver.

    Asks the driver's own library, so that no CUDA package is needed.
    """
    gpus = find_driver().gpus
    return gpus[device].target if device < len(gpus) else None
