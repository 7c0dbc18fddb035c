"""NVIDIA's libraries and the files of /sys of machines that are not this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecnn_runtime.machine.access import Machine


class FakeNvml:
    """A GPU of 30 W that is slowed by heat; names are those of NVIDIA's library."""

    def __init__(self, without: tuple[str, ...] = ()) -> None:
        self.without, self.joules, self.asked = without, 1000.0, b""
        self.used_mb = 500

    def __getattr__(self, name: str) -> Any:
        if name in self.without or name not in _ANSWERS:
            raise AttributeError(name)
        return lambda *arguments: _ANSWERS[name](self, *arguments)


def _put(reference: Any, value: Any) -> int:
    reference._obj.value = value
    return 0


def _by_address(gpu: FakeNvml, address: bytes, handle: Any) -> int:
    gpu.asked = address
    return _put(handle, 7)


def _memory(gpu: FakeNvml, device: Any, found: Any) -> int:
    found._obj.used = gpu.used_mb << 20
    return 0


def _violation(gpu: FakeNvml, device: Any, policy: int, found: Any) -> int:
    found._obj.nanoseconds = 5 if policy else 0
    return 0


_ANSWERS: dict[str, Any] = {
    "nvmlInit_v2": lambda gpu: 0,
    "nvmlDeviceGetHandleByPciBusId_v2": _by_address,
    "nvmlDeviceGetHandleByIndex_v2": lambda gpu, index, handle: _put(handle, index),
    "nvmlDeviceGetTotalEnergyConsumption": lambda gpu, d, j: _put(j, int(1e3 * gpu.joules)),
    "nvmlDeviceGetPowerUsage": lambda gpu, d, mw: _put(mw, 30_000),
    "nvmlDeviceGetEnforcedPowerLimit": lambda gpu, d, mw: _put(mw, 70_000),
    "nvmlDeviceGetClockInfo": lambda gpu, d, kind, mhz: _put(mhz, 1410 if kind == 1 else 5001),
    "nvmlDeviceGetMaxClockInfo": lambda gpu, d, kind, mhz: _put(mhz, 2100 if kind == 1 else 5001),
    "nvmlDeviceGetCurrentClocksThrottleReasons": lambda gpu, d, bits: _put(bits, 0x1 | 0x40),
    "nvmlDeviceGetMemoryInfo": _memory,
    "nvmlDeviceGetViolationStatus": _violation,
}


class FakeCuda:
    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGet(self, handle: Any, index: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGetPCIBusId(self, text: Any, length: int, handle: Any) -> int:  # noqa: N802
        text.value = b"0000:65:00.0"
        return 0


def machine(root: Path, **libraries: Any) -> Machine:
    def load(name: str) -> Any:
        for part, library in libraries.items():
            if part in name:
                return library
        raise OSError(name)

    return Machine(root=root, system="linux", ask=lambda *_: "", load=load)


def write(root: Path, **files: str) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{content}\n")
