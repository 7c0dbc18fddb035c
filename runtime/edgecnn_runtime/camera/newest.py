"""How frames pass from one thread to another: the newest only, or every one."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Handoff(Generic[T]):
    """A bounded passage from a thread that makes to a thread that takes. Neither ever polls.

    Args:
        depth: how many items may wait.
        lossless: where it is full, `put` waits; otherwise the oldest item is dropped and counted.
    """

    def __init__(self, depth: int, *, lossless: bool) -> None:
        self.dropped = 0
        self._depth = depth
        self._lossless = lossless
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._finished = False  # nothing more comes
        self._closed = False  # nobody takes any more
        # Reentrant: a signal handler may call `close` in the thread that holds it.
        self._changed = threading.Condition(threading.RLock())

    def put(self, item: T) -> bool:
        """Pass an item on; False once nobody takes them any more."""
        with self._changed:
            while self._lossless and len(self._items) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            if len(self._items) >= self._depth:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify()
            return True

    def get(self) -> T | None:
        """Wait for the next item; None after the last.

        Raises:
            BaseException: what the maker failed with, once its items are taken.
        """
        with self._changed:
            while not self._items and not self._finished and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            if self._items:
                item = self._items.popleft()
                if self._lossless:
                    self._changed.notify()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more comes; `error` is why, where that is not the natural end."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes any more: `put` and `get` return at once. From any thread or handler."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
