"""What the NVIDIA driver says of this machine's GPU."""

from __future__ import annotations

import ctypes
import sys

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


def compute_capability(device: int = 0) -> str | None:
    """The GPU's compute capability as `sm86`, or None without a GPU or a driver.

    Asks the driver's own library, so that no CUDA package is needed.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        cuda = ctypes.CDLL(name)
    except OSError:
        return None
    handle, count = ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)) or device >= count.value:
        return None
    if cuda.cuDeviceGet(ctypes.byref(handle), device):
        return None
    numbers = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        if cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle):
            return None
        numbers.append(value.value)
    return f"sm{numbers[0]}{numbers[1]}"
