"""The newest picture of each source, for any number of viewers of any speed."""

from __future__ import annotations

import threading
from collections import Counter
from time import monotonic
from typing import NamedTuple

KEEPS = 2.0  # seconds for which somebody who asked for a picture counts as watching


class _Picture(NamedTuple):
    number: int
    data: bytes
    made: float


_NONE = _Picture(-1, b"", 0.0)


class Pictures:
    """One picture a source, which the next replaces: a slow viewer skips, and holds up nobody."""

    def __init__(self) -> None:
        self._latest: dict[str, _Picture] = {}
        self._watched: dict[str, float] = {}
        self._viewers: Counter[str] = Counter()
        self._number = 0
        self._closed = False
        self._changed = threading.Condition()

    def is_watched(self, source: str) -> bool:
        """Whether anybody looks: else a picture need not be made."""
        with self._changed:
            return bool(self._viewers[source]) or monotonic() < self._watched.get(source, 0)

    def publish(self, source: str, picture: bytes) -> None:
        """Replace a source's picture."""
        with self._changed:
            self._number += 1
            self._latest[source] = _Picture(self._number, picture, monotonic())
            self._changed.notify_all()

    def newer(self, source: str, than: int, timeout: float) -> tuple[int, bytes] | None:
        """The newest picture once it has a higher number; None where none comes, or at the end.

        Args:
            than: -1 for one who has seen none, and is not shown what was made for others long ago.
        """
        with self._changed:
            now = monotonic()
            self._watched[source] = now + KEEPS
            if than < 0 and self._latest.get(source, _NONE).made < now - KEEPS:
                self._latest.pop(source, None)
            self._changed.wait_for(lambda: self._closed or self._is_newer(source, than), timeout)
            return self._latest[source][:2] if self._is_newer(source, than) else None

    def _is_newer(self, source: str, than: int) -> bool:
        return self._latest.get(source, _NONE).number > than

    def enter(self, source: str) -> None:
        """A viewer that stays."""
        with self._changed:
            self._viewers[source] += 1

    def leave(self, source: str) -> None:
        with self._changed:
            self._viewers[source] -= 1

    @property
    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Nothing more comes; who waits is told."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
