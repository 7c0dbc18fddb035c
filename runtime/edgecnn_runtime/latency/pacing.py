"""When the next frame is due, and what is done until then."""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import Protocol

# What a gap between two frames is filled with. Idle clocks fall, and the frame that ends the gap
# pays for it.
KEEP_WARM = {
    "no": "nothing: the thread sleeps, as behind a camera",
    "infer": "inferences whose answers nobody reads, as long as another one fits",
    "spin": "waiting awake, which keeps the processor's clock up and not the GPU's",
}
_SPIN_NS = 500_000  # a sleep ends late by this much at most; the rest is waited awake


class Clock(Protocol):
    """Time as the profile sees it; tests inject their own."""

    def now_ns(self) -> int: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own."""

    def now_ns(self) -> int:
        return perf_counter_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Gap:
    """The time between two frames.

    Args:
        keep_warm: one of `KEEP_WARM`.
        infer: one inference, for `infer`.
        usual_ns: what one takes, as far as the warm-up told.
    """

    def __init__(
        self,
        clock: Clock,
        keep_warm: str = "no",
        infer: Callable[[], object] = lambda: None,
        usual_ns: int = 0,
    ) -> None:
        self._clock = clock
        self._keep_warm = keep_warm
        self._infer = infer
        self._longest = usual_ns

    def wait(self, due: int) -> bool:
        """Wait for a moment; False where it had already passed, or an inference overran it."""
        left = due - self._clock.now_ns()
        if left < 0:
            return False
        if self._keep_warm == "infer":
            self._fill(due)
            if self._clock.now_ns() > due:
                return False
        elif self._keep_warm == "no" and left > _SPIN_NS:
            self._clock.sleep((left - _SPIN_NS) / 1e9)
        while self._clock.now_ns() < due:
            pass
        return True

    def _fill(self, due: int) -> None:
        """Infer until another inference, if it were the slowest of late, would not fit."""
        began = self._clock.now_ns()
        while due - began > 1.25 * self._longest + _SPIN_NS / 5:
            self._infer()
            ended = self._clock.now_ns()
            self._longest = max(ended - began, round(0.95 * self._longest))
            began = ended
