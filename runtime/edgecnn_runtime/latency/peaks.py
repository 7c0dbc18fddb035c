"""The most that a machine can do; of a GPU, from what its driver states and NVIDIA publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edgecnn_runtime.machine.driver import Gpu


class PerClock(NamedTuple):
    """Operations of one multiprocessor in one clock, a multiply-accumulate counted as two."""

    fp32: int  # on the CUDA cores; TensorRT may take tensor cores in TF32 and be faster
    fp16: int  # on the tensor cores, dense, summed in FP16
    int8: int  # on the tensor cores, dense


# fmt: off
PER_CLOCK = {
    #                fp32  fp16  int8    whose published peaks it gives
    "sm75": PerClock(128, 1024, 2048),  # Turing whitepaper: RTX 2080 Ti FE 113.8 and 227.7
    "sm80": PerClock(128, 2048, 4096),  # A100 whitepaper: 19.5, 312 and 624
    "sm86": PerClock(256, 1024, 2048),  # GA102 whitepaper: RTX 3090 35.6, 142 and 285
    "sm87": PerClock(256, 2048, 4096),  # AGX Orin technical brief: 5.3 and 170 sparse INT8
    "sm89": PerClock(256, 1024, 2048),  # Ada whitepaper: RTX 4090 82.6, 330.3 and 660.6
    "sm90": PerClock(256, 4096, 8192),  # H100 data sheet: SXM 67, 989 and 1979 (tensor at 1.83 GHz)
    "sm120": PerClock(256, 1024, 2048), # RTX Blackwell whitepaper: RTX 5090 104.8, 419 and 838
}

# A Jetson's driver does not state its memory's clock. Data sheets of the modules, GB/s; the first
# line whose words are all in the board's name counts.
JETSON_GB_PER_S = {
    "AGX Orin": 204.8,
    "Orin NX": 102.4,
    "Orin Nano Super": 102.4,
    "Orin Nano": 68.3,
}
SMALL_NANO_MB = 5_000  # the Orin Nano with 4 GB has half the bus
# fmt: on


@dataclass(frozen=True)
class Level:
    """How fast a working set of so many bytes is read and written: it fits into some cache."""

    bytes: int
    gb_per_s: float


@dataclass(frozen=True)
class Peaks:
    """The most that a machine can do, in dense tera-operations and GB a second.

    Attributes:
        gb_per_s: of its memory; None where it is not known.
        levels: of its caches, the smallest first.
        source: `measured` here, or `published` for its highest clocks.
    """

    fp32: float
    fp16: float
    int8: float
    gb_per_s: float | None
    levels: tuple[Level, ...] = ()
    source: str = "published"

    def rate(self, size: int) -> float | None:
        """GB a second for a layer that reads and writes so many bytes."""
        fits = (level.gb_per_s for level in self.levels if size <= level.bytes)
        return next(fits, self.gb_per_s)

    def tera(self, precision: str) -> float | None:
        """The peak for a graph's precision, as the manifest has it; None for another."""
        rates = {"fp32": self.fp32, "fp16": self.fp16, "bf16": self.fp16}
        return {**rates, "int8": self.int8, "int8-cpu": self.int8}.get(precision)


def peaks_of(gpu: Gpu, board: str = "") -> Peaks | None:
    """The peaks of a GPU, None for one whose multiprocessors are not in the table.

    Args:
        board: the name of a Jetson's, as its device tree has it.
    """
    rates = PER_CLOCK.get(gpu.target)
    if rates is None:
        return None
    clocks = gpu.multiprocessors * gpu.clock_mhz / 1e6  # 10^12 a second
    return Peaks(
        fp32=round(rates.fp32 * clocks, 2),
        fp16=round(rates.fp16 * clocks, 2),
        int8=round(rates.int8 * clocks, 2),
        gb_per_s=_memory(gpu, board),
    )


def _memory(gpu: Gpu, board: str) -> float | None:
    if gpu.integrated:
        words = set(board.split())
        found = (gb for name, gb in JETSON_GB_PER_S.items() if set(name.split()) <= words)
        rate = next(found, None)
        small = "Nano" in words and gpu.memory_mb < SMALL_NANO_MB
        return rate / 2 if rate and small else rate
    # Two transfers in a clock, whatever the memory.
    return round(2 * gpu.memory_clock_mhz * gpu.memory_bus_bits / 8 / 1000, 1) or None
