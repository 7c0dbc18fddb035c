"""How long to wait for a live source, and how often to try again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0  # seconds


@dataclass(frozen=True)
class Patience:
    """How long to wait for a live source, and how often to try again.

    Attributes:
        stall: seconds without a new frame after which a source counts as lost.
        open_timeout: seconds that an attempt to connect may take.
        retries: attempts in a row before a source is given up; None for ever.
    """

    stall: float = 5.0
    open_timeout: float = 10.0
    retries: int | None = None


def pauses(
    jitter: Callable[[], float] = random.random, *, first: float = FIRST_PAUSE
) -> Iterator[float]:
    """Seconds between attempts: they double, and are jittered, so that many cameras that one
    switch took down do not all come back at the same moment.

    Args:
        jitter: a number from 0 to 1 for each pause.
        first: the longest that the first one is.
    """
    longest = first
    while True:
        yield longest * (0.5 + 0.5 * jitter())
        longest = min(2 * longest, LONGEST_PAUSE)
