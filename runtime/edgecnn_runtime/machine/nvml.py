"""NVIDIA's management library: power, energy, clocks, memory and what slows a GPU."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

from edgecnn_runtime.machine.access import Machine

_LIBRARY = {"win32": "nvml.dll"}
_CUDA = {"win32": "nvcuda.dll"}
_SM, _MEMORY = 1, 2  # nvmlClockType_t

# nvmlClocksEventReasons; an idle GPU, or clocks that somebody has set, slow nothing down.
_SLOWED = {
    0x04: "the GPU's power limit",
    0x08: "the GPU's hardware slowdown",
    0x20: "the GPU's heat (software)",
    0x40: "the GPU's heat (hardware)",
    0x80: "the GPU's power brake",
}
_POLICIES = {0: "the GPU's power limit", 1: "the GPU's heat"}  # nvmlPerfPolicyType_t


class _Memory(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


class _Violation(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in ("reference", "nanoseconds")]


class Nvml:
    """What NVML says of one GPU. None wherever a driver or a board does not tell.

    Args:
        handle: of the GPU, as NVML gives it.
    """

    def __init__(self, library: Any, handle: Any) -> None:
        self._library = library
        self._handle = handle

    def _ask(self, name: str, value: Any, *before: Any) -> Any | None:
        """Call a function that writes its answer into `value`; None where it cannot."""
        return value if _succeeds(self._library, name, self._handle, *before, _ref(value)) else None

    def joules(self) -> float | None:
        """Since the driver was loaded; Volta and later."""
        found = self._ask("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong())
        return None if found is None else found.value / 1e3

    def watts(self) -> float | None:
        """Of the board now."""
        found = self._ask("nvmlDeviceGetPowerUsage", ctypes.c_uint())
        return None if found is None else found.value / 1e3

    def limit_watts(self) -> float | None:
        """What the board may take."""
        found = self._ask("nvmlDeviceGetEnforcedPowerLimit", ctypes.c_uint())
        return None if found is None else found.value / 1e3

    def used_mb(self) -> float | None:
        """Of the card's memory, by everybody; a Jetson has none of its own."""
        found = self._ask("nvmlDeviceGetMemoryInfo", _Memory())
        return None if found is None else found.used / 2**20

    def clock_mhz(self, *, memory: bool = False) -> tuple[int, int] | None:
        """(now, the highest) of the multiprocessors, or of the memory."""
        kind = _MEMORY if memory else _SM
        now = self._ask("nvmlDeviceGetClockInfo", ctypes.c_uint(), kind)
        most = self._ask("nvmlDeviceGetMaxClockInfo", ctypes.c_uint(), kind)
        return None if now is None else (now.value, most.value if most else now.value)

    def slowed_by(self) -> tuple[str, ...]:
        """What keeps the clocks down now."""
        found = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong())
        bits = found.value if found else 0
        return tuple(reason for bit, reason in _SLOWED.items() if bits & bit)

    def slowed_ns(self) -> dict[str, int]:
        """How long each policy has kept the clocks down since the driver was loaded."""
        asked = {
            reason: self._ask("nvmlDeviceGetViolationStatus", _Violation(), policy)
            for policy, reason in _POLICIES.items()
        }
        return {reason: found.nanoseconds for reason, found in asked.items() if found}


def find_nvml(machine: Machine | None = None) -> Nvml | None:
    """NVML on CUDA's first GPU, the one that the backends run on; None where there is none."""
    machine = machine or Machine()
    try:
        library = machine.load(_LIBRARY.get(machine.system, "libnvidia-ml.so.1"))
    except OSError:
        return None
    if not _succeeds(library, "nvmlInit_v2"):
        return None
    handle = ctypes.c_void_p()
    address = _first_gpu(machine)
    if address and _succeeds(library, "nvmlDeviceGetHandleByPciBusId_v2", address, _ref(handle)):
        return Nvml(library, handle)
    if _succeeds(library, "nvmlDeviceGetHandleByIndex_v2", 0, _ref(handle)):
        return Nvml(library, handle)
    return None


def _first_gpu(machine: Machine) -> bytes:
    """The PCI address of CUDA's first GPU: CUDA and NVML number them in other orders."""
    text, handle = ctypes.create_string_buffer(32), ctypes.c_int()
    with suppress(OSError, AttributeError):
        cuda = machine.load(_CUDA.get(machine.system, "libcuda.so.1"))
        if not (cuda.cuInit(0) or cuda.cuDeviceGet(_ref(handle), 0)):
            cuda.cuDeviceGetPCIBusId(text, len(text), handle)
    return text.value


def _succeeds(library: Any, name: str, *arguments: Any) -> bool:
    """Older drivers lack some functions, and boards some of the answers."""
    try:
        return not getattr(library, name)(*arguments)
    except AttributeError:
        return False


def _ref(value: Any) -> Any:
    return ctypes.byref(value)
