"""Delivery over a network whose other end may be away for hours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from edgecnn_runtime.camera.patience import FIRST_PAUSE, pauses
from edgecnn_runtime.stream.sink import UndeliveredError

TRIES = 3  # of a result, while the other end is thought to be there


class Retries:
    """Try a delivery again with growing, jittered pauses; then let results go until one succeeds.

    While the other end is away a result costs nothing: only when the pause is over is one of them
    tried. So neither a file nor a camera is ever held up for longer than `TRIES` timeouts.
    """

    def __init__(self, first_pause: float = FIRST_PAUSE) -> None:
        self._first_pause = first_pause
        self._pauses = pauses(first=first_pause)
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
                self._away_because = error.strerror or str(error) or type(error).__name__
            else:
                self._pauses, self._away_because = pauses(first=self._first_pause), None
                return
            if left and self._hurried.wait(next(self._pauses)):
                break
        self._next_try = monotonic() + next(self._pauses)
        raise UndeliveredError(self._away_because)

    def hurry(self) -> None:
        """The end has come: try what waits once, without pauses. From any thread."""
        self._hurried.set()
