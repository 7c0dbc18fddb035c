"""Delivery over a network whose other end may be away for hours."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from time import monotonic

from edgecnn_runtime.stream.sink import UndeliveredError

TRIES = 3  # of a result, while the other end is thought to be there
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0  # seconds


class Retries:
    """Try a delivery again with growing, jittered pauses; then let results go until one succeeds.

    While the other end is away a result costs nothing: only when the pause is over is one of them
    tried. So neither a file nor a camera is ever held up for longer than `TRIES` timeouts.
    """

    def __init__(self, first_pause: float = FIRST_PAUSE) -> None:
        self._first_pause = first_pause
        self._failures = 0
        self._away_because: str | None = None
        self._next_try = 0.0
        self._hurried = threading.Event()

    def deliver(self, send: Callable[[], object]) -> None:
        """Call `send` until it succeeds.

        Raises:
            UndeliveredError: it did not, or it is not yet time to try again.
        """
        if self._away_because is not None and (
            monotonic() < self._next_try or self._hurried.is_set()
        ):
            raise UndeliveredError(self._away_because)
        tries = 1 if self._away_because is not None else TRIES
        for left in reversed(range(tries)):
            try:
                send()
            except OSError as error:
                self._failures += 1
                self._away_because = error.strerror or str(error) or type(error).__name__
            else:
                self._failures, self._away_because = 0, None
                return
            if left and self._hurried.wait(self._pause()):
                break
        self._next_try = monotonic() + self._pause()
        raise UndeliveredError(self._away_because)

    def _pause(self) -> float:
        doubled = self._first_pause * 2.0 ** min(self._failures - 1, 10)
        return min(doubled, LONGEST_PAUSE) * random.uniform(0.75, 1.25)

    def hurry(self) -> None:
        """The end has come: try what waits once, without pauses. From any thread."""
        self._hurried.set()
