"""The peaks of this machine, measured: the roofs below which its layers lie."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edgecnn_runtime.errors import BackendError, MissingPackageError
from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.latency.peaks import Level, Peaks

# Bytes that are read and written again and again: what fits into a cache is faster than memory.
WORKING_SETS = (1 << 17, 1 << 20, 1 << 23)
MEMORY = 1 << 28
_MOVED = 1 << 26  # bytes of one try: short, so that some try falls into a quiet moment
_SECONDS = 0.25
GPU_SIDE = 4096
Column = NDArray[np.float64]


def measured_peaks(backend: str, threads: int | None = None) -> Peaks | None:
    """Of the processor with `onnxruntime`, else of the GPU through ONNX Runtime's CUDA.

    Takes three seconds. None for a GPU without ONNX Runtime's CUDA.
    """
    count = threads or cores()
    on_cpu = backend == "onnxruntime"
    try:
        from edgecnn_runtime.backends.ort.peak import Peak

        peak = Peak(threads=count) if on_cpu else Peak("onnxruntime-cuda", threads=1, side=GPU_SIDE)
        memory = copy_gb_per_s(MEMORY, count) if on_cpu else peak.gb_per_s()
    except (BackendError, MissingPackageError):
        return None
    fp32 = peak.tera("fp32")
    if fp32 is None:
        return None
    levels = [Level(size, copy_gb_per_s(size, count)) for size in WORKING_SETS] if on_cpu else []
    return Peaks(
        fp32=_three(fp32),
        fp16=_three(peak.tera("fp16") or fp32),
        int8=_three(peak.tera("int8") or fp32),
        gb_per_s=_three(memory),
        levels=tuple(Level(one.bytes, _three(one.gb_per_s)) for one in levels),
        source="measured",
    )


def _three(value: float) -> float:
    return float(f"{value:.3g}")


def copy_gb_per_s(size: int, threads: int) -> float:
    """Bytes read and written a second by copying between two halves of `size`, on all threads.

    Each has halves of its own, `size` together. What a write reads first is not counted.
    """
    half = max(1, size // threads // 16)  # of float64
    repeats = max(1, _MOVED // size)
    pairs = [(np.ones(half), np.zeros(half)) for _ in range(threads)]

    def copy(pair: tuple[Column, Column]) -> None:
        # One call for all repeats, without the interpreter between them: an axis of stride 0.
        source, target = (as_strided(one, (repeats, half), (0, one.itemsize)) for one in pair)
        np.copyto(target, source)

    with ThreadPoolExecutor(threads) as pool:
        spent: list[float] = []
        first = perf_counter()
        while len(spent) < 4 or perf_counter() - first < _SECONDS:
            began = perf_counter()
            list(pool.map(copy, pairs))
            spent.append(perf_counter() - began)
        best = min(spent)
    return 16 * half * threads * repeats / best / 1e9
