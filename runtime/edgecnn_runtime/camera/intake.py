"""How frames and results pass between threads, of several in turn: none crowds out another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Lane(Generic[T]):
    """What waits of one source.

    Args:
        depth: how many may wait.
        lossless: where it is full, `put` waits; otherwise the oldest is dropped and counted.
    """

    depth: int
    lossless: bool
    dropped: int = 0
    waiting: deque[T] = field(default_factory=deque)
    is_finished: bool = False
    error: BaseException | None = None


class Intake(Generic[T]):
    """A bounded passage from the threads of one or more sources to one that takes. Nobody polls."""

    def __init__(self, lanes: Sequence[Lane[T]]) -> None:
        self.lanes = lanes
        self._next = 0  # the lane whose turn it is
        self._closed = False
        # Reentrant: a signal handler may call `close` in the thread that holds it.
        self._changed = threading.Condition(threading.RLock())

    def put(self, number: int, item: T) -> bool:
        """Pass an item of a lane on; False once nobody takes them any more."""
        lane = self.lanes[number]
        with self._changed:
            while lane.lossless and len(lane.waiting) >= lane.depth and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            if len(lane.waiting) >= lane.depth:
                lane.waiting.popleft()
                lane.dropped += 1
            lane.waiting.append(item)
            self._changed.notify_all()
            return True

    def get(self, most: int = 1) -> list[tuple[int, T]]:
        """Wait for an item; then take what is there, one of each lane, up to `most`.

        Returns:
            The number of each one's lane and the item; empty after the last.

        Raises:
            BaseException: what the only lane, or each of them, failed with, after the last; once.
        """
        with self._changed:
            while not self._closed and not self._is_ready():
                self._changed.wait()
            if self._closed:
                return []
            taken = self._take(most)
            if not taken:
                self._raise_failure()
        return taken

    def _is_ready(self) -> bool:
        return any(lane.waiting for lane in self.lanes) or all(
            lane.is_finished for lane in self.lanes
        )

    def _take(self, most: int) -> list[tuple[int, T]]:
        taken: list[tuple[int, T]] = []
        count, first = len(self.lanes), self._next
        for number in ((first + i) % count for i in range(count)):
            lane = self.lanes[number]
            if lane.waiting and len(taken) < most:
                taken.append((number, lane.waiting.popleft()))
                self._next = (number + 1) % count
                if lane.lossless:
                    self._changed.notify_all()
        return taken

    def _raise_failure(self) -> None:
        errors = [lane.error for lane in self.lanes]
        if errors[0] is not None and None not in errors:
            self.lanes[0].error = None
            raise errors[0]

    def finish(self, number: int, error: BaseException | None = None) -> None:
        """Nothing more comes of a lane; `error` is why, where that is not the natural end."""
        with self._changed:
            self.lanes[number].is_finished = True
            self.lanes[number].error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody takes any more: `put` and `get` return at once. From any thread or handler."""
        with self._changed:
            self._closed = True
            for lane in self.lanes:
                lane.waiting.clear()
            self._changed.notify_all()
