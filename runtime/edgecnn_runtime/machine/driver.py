"""NVIDIA's driver and GPUs, asked of its own library: not every Jetson has nvidia-smi."""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from typing import Any

from edgecnn_runtime.machine.access import Machine

_CUDA = {"win32": "nvcuda.dll"}
_NVML = {"win32": "nvml.dll"}
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE

# CUdevice_attribute of cuda.h
_CLOCK_KHZ, _MULTIPROCESSORS, _INTEGRATED = 13, 16, 18
_MEMORY_CLOCK_KHZ, _MEMORY_BUS_BITS = 36, 37
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU as the driver states it.

    Attributes:
        target: its compute capability, `sm86`, as engines name it.
        clock_mhz: the highest of its multiprocessors.
        memory_clock_mhz: the highest of its memory; means nothing where `integrated`.
        integrated: shares the memory of the processor, as a Jetson's does.
    """

    name: str
    target: str
    memory_mb: int
    multiprocessors: int
    clock_mhz: int
    memory_clock_mhz: int
    memory_bus_bits: int
    integrated: bool


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver.

    Attributes:
        version: its release, `580.95.05`; None where it does not tell.
        cuda: the newest CUDA that it runs, `13.0`; None where its library is not here.
        why: why no GPU can be used, "" where one can.
    """

    version: str | None
    cuda: str | None
    gpus: tuple[Gpu, ...]
    why: str = ""


def find_driver(machine: Machine | None = None) -> Driver:
    """Ask the driver. A machine without one is no error: `why` tells."""
    machine = machine or Machine()
    version = _release(machine)
    name = _CUDA.get(machine.system, "libcuda.so.1")
    try:
        cuda = machine.load(name)
    except OSError:
        return Driver(version, None, (), f"the driver's library {name} is not on this machine")
    number = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(number))
    newest = f"{number.value // 1000}.{number.value % 1000 // 10}"
    if status := cuda.cuInit(0):
        said = "it sees no GPU" if status == _NO_DEVICE else _error(cuda, status)
        return Driver(version, newest, (), f"the driver does not start: {said}")
    count = ctypes.c_int()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    gpus = tuple(_gpu(cuda, index) for index in range(count.value))
    return Driver(version, newest, gpus, "" if gpus else "the driver sees no GPU")


def _error(cuda: Any, status: int) -> str:
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(status, ctypes.byref(text))
    return f"error {status}, {(text.value or b'unknown').decode(errors='replace')}"


def _gpu(cuda: Any, index: int) -> Gpu:
    handle, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(handle), index)
    cuda.cuDeviceGetName(name, len(name), handle)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), handle)

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        return 0 if cuda.cuDeviceGetAttribute(ctypes.byref(value), number, handle) else value.value

    return Gpu(
        name=name.value.decode(errors="replace"),
        target=f"sm{attribute(_MAJOR)}{attribute(_MINOR)}",
        memory_mb=memory.value >> 20,
        multiprocessors=attribute(_MULTIPROCESSORS),
        clock_mhz=attribute(_CLOCK_KHZ) // 1000,
        memory_clock_mhz=attribute(_MEMORY_CLOCK_KHZ) // 1000,
        memory_bus_bits=attribute(_MEMORY_BUS_BITS),
        integrated=bool(attribute(_INTEGRATED)),
    )


def _release(machine: Machine) -> str | None:
    """From the kernel module; under Windows and WSL, which have none, from NVML."""
    module = machine.text("proc/driver/nvidia/version")
    found = re.search(r"Module.*?\s(\d+\.\d+(\.\d+)?)\s", module)
    if found:
        return found[1]
    try:
        nvml = machine.load(_NVML.get(machine.system, "libnvidia-ml.so.1"))
    except OSError:
        return None
    text = ctypes.create_string_buffer(80)
    if nvml.nvmlInit_v2() or nvml.nvmlSystemGetDriverVersion(text, len(text)):
        return None
    nvml.nvmlShutdown()
    return text.value.decode(errors="replace")


def find_cards(machine: Machine) -> list[str]:
    """The PCI addresses of NVIDIA's cards, which are there without a driver too. Linux only."""
    return [
        path.name
        for path in machine.find("sys/bus/pci/devices/*")
        if machine.text(path / "vendor") == "0x10de"
        and machine.text(path / "class").startswith("0x03")  # a display controller
    ]
