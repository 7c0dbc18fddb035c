"""Which precision to use on this machine: accuracy on held-out images against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from edgecnn_export.held_out import HeldOut
from edgecnn_runtime.backends.ort import OrtBackend, open_ort
from edgecnn_runtime.latency.device import device_of
from edgecnn_runtime.latency.report import progress

ROUNDS = 30
BLOCK_NS = 15_000_000
BLOCK_LEAST, BLOCK_MOST = 3, 50  # inferences
RESAMPLES = 2000
WORTH = 0.95  # a gain of less than a twentieth is not worth another graph
BATCH = 16
FOR_TENSORRT = ("fp16", "bf16", "int8")


@dataclass(frozen=True)
class Row:
    """One precision on this machine.

    Attributes:
        top1: share of the held-out images that it calls rightly.
        p50_ms: median time of the inference of one frame.
        ratio: that, as a multiple of the first row's.
        interval: of the ratio, 95%.
    """

    precision: str
    top1: float
    p50_ms: float
    ratio: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Verdict:
    """Which precision to use here.

    Attributes:
        use: the precision.
        why: one sentence.
        device: what the figures were measured on.
    """

    use: str
    why: str
    device: str
    images: int
    rows: list[Row]


def verdict(graphs: Mapping[str, Path], held_out: HeldOut, max_drop: float) -> Verdict:
    """Measure each precision's accuracy and latency, and choose.

    Args:
        graphs: files by precision, two or more; others are compared with fp32, or with the first.
        held_out: with labels.
        max_drop: percentage points of top-1 that a faster precision may lose.
    """
    base = "fp32" if "fp32" in graphs else next(iter(graphs))
    names = [base, *(name for name in graphs if name != base)]
    backends = {name: open_ort(graphs[name], precision=name) for name in names}
    try:
        top1 = {name: _top1(backend, held_out) for name, backend in backends.items()}
        times = block_times(backends, held_out.inputs)
        device = device_of(backends[base].name)
        on_cpu = backends[base].name == "onnxruntime"
    finally:
        for backend in backends.values():
            backend.close()
    rows = [
        Row(name, top1[name], round(median(times[name]), 4), *ratio(times[name], times[base]))
        for name in names
    ]
    use, why = decide(rows, max_drop, on_cpu=on_cpu)
    return Verdict(use, why, device, len(held_out.inputs), rows)


def _top1(backend: OrtBackend, held_out: HeldOut) -> float:
    inputs = held_out.inputs
    batches = [backend.infer(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
    return held_out.judge_answers(np.concatenate(batches)).top1


def block_times(
    backends: Mapping[str, OrtBackend], inputs: NDArray[np.uint8]
) -> dict[str, list[float]]:
    """Milliseconds of one inference: the median of each block, the blocks taken in turn.

    The machine's speed drifts, and who comes first changes from round to round.
    """
    frames = cycle(inputs[i : i + 1] for i in range(min(BATCH, len(inputs))))

    def block(backend: OrtBackend, length: int) -> float:
        spent = []
        for _ in range(length):
            frame, began = next(frames), perf_counter_ns()
            backend.infer(frame)
            spent.append(perf_counter_ns() - began)
        return median(spent)

    lengths = {}
    for name, backend in backends.items():
        block(backend, BLOCK_LEAST)  # the first allocates
        wanted = round(BLOCK_NS / block(backend, BLOCK_LEAST))
        lengths[name] = min(max(wanted, BLOCK_LEAST), BLOCK_MOST)
    times: dict[str, list[float]] = {name: [] for name in backends}
    with progress("measuring latency", ROUNDS) as step:
        for number in range(ROUNDS):
            order = list(backends.items())
            turn = number % len(order)
            for name, backend in order[turn:] + order[:turn]:
                times[name].append(block(backend, lengths[name]) / 1e6)
            step()
    return times


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The ratio of the medians and its 95% interval, bootstrapped over rounds."""
    a, b = np.array(ours), np.array(theirs)
    picks = np.random.default_rng(0).integers(0, len(a), (RESAMPLES, len(a)))
    drawn = np.median(a[picks], 1) / np.median(b[picks], 1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    interval = (round(float(low), 4), round(float(high), 4))
    return round(float(np.median(a) / np.median(b)), 4), interval


def decide(rows: Sequence[Row], max_drop: float, *, on_cpu: bool = True) -> tuple[str, str]:
    """What to use, and one sentence that says why.

    Another precision than the first row's is used where it is faster for certain, by a twentieth at
    least, and loses no more than `max_drop` points of top-1.

    Args:
        rows: what the others are compared with comes first.
        on_cpu: these figures say nothing of a GPU.
    """
    base, *others = rows
    worth = [
        row for row in others if row.interval[1] < WORTH and _lost(row, base) <= max_drop + 1e-9
    ]
    best = min(worth or others, key=lambda row: row.ratio)
    advice, use = ("use", best) if worth else ("stay with", base)
    why = (
        f"{best.precision.upper()} takes {best.ratio:.2f} times as long as {base.precision.upper()}"
        f" here and {_loses(_lost(best, base))}: {advice} {use.precision.upper()}"
    )
    made_for_gpus = [r.precision.upper() for r in rows if r.precision in FOR_TENSORRT]
    if on_cpu and made_for_gpus:
        names, verb = " and ".join(made_for_gpus), "is" if len(made_for_gpus) == 1 else "are"
        why += f"; {names} {verb} for TensorRT, and a CPU's figure is not a GPU's"
    return use.precision, why


def _lost(row: Row, base: Row) -> float:
    return 100 * (base.top1 - row.top1)


def _loses(points: float) -> str:
    if abs(points) < 0.05:
        return "loses nothing"
    return f"loses {points:.1f} points" if points > 0 else f"gains {-points:.1f} points"
