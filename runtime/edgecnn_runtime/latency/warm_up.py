"""Run until the times are steady: caches filled, memory allocated, clocks raised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from edgecnn_runtime.latency.pacing import Clock

LEAST_FRAMES, LEAST_NS = 20, 200_000_000  # a clock takes a tenth of a second to rise
MOST_FRAMES, MOST_NS = 200, 2_000_000_000  # it gives up once both are passed
SLOW_NS = 20_000_000_000  # or this alone: a second a frame would take minutes
STEADY = 0.05  # two neighbouring parts whose medians differ by less
_EVERY = 10  # frames between two looks


@dataclass(frozen=True)
class WarmUp:
    """Frames that are not among the measured.

    Attributes:
        is_steady: False where the times still changed when it was given up.
        median_ns: of the last frames.
    """

    frames: int
    is_steady: bool
    median_ns: int


def warm_up(frame: Callable[[], int], clock: Clock) -> WarmUp:
    """Run frames until they are steady.

    Args:
        frame: runs one and returns what it took, in ns.
    """
    spent: list[int] = []
    began = clock.now_ns()
    while True:
        spent.append(frame())
        count, passed = len(spent), clock.now_ns() - began
        if count < LEAST_FRAMES or passed < LEAST_NS or count % _EVERY:
            continue
        part = max(LEAST_FRAMES // 2, count // 4)
        before, after = median(spent[-2 * part : -part]), median(spent[-part:])
        is_steady = abs(before - after) <= STEADY * before
        if is_steady or passed > SLOW_NS or (count >= MOST_FRAMES and passed > MOST_NS):
            return WarmUp(count, is_steady, round(after))
