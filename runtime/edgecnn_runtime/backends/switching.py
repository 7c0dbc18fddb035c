"""A backend that another can take the place of, between two frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import Backend, Pending, PipelinedBackend, in_flight, spent_ns
from edgecnn_runtime.errors import BackendError, EdgecnnError

log = logging.getLogger("edgecnn")


class SwitchingBackend:
    """Runs one backend, until a better one is offered or it fails.

    What is offered takes its place before the next frame, whichever thread brings that; the one
    before is closed when the last of its answers was given. No frame is lost, answered twice or
    kept waiting. Each switch is said once, in the log.

    Args:
        spare: opens what goes on where the backend fails, as the CPU where the GPU does.

    Attributes:
        switches: the names of those that ran before, in order.
    """

    def __init__(self, first: Backend, spare: Callable[[], Backend] | None = None) -> None:
        self.switches: list[str] = []
        self._lock = threading.Lock()
        self._running = _Place(first)
        self._left: list[_Place] = []  # those that still owe an answer
        self._offered: Backend | None = None
        self._spare = spare
        self._on_close: list[Callable[[], None]] = []
        self._is_open = True
        self._last_count = 1

    @property
    def running(self) -> Backend:
        """The one that runs."""
        return self._running.backend

    @property
    def name(self) -> str:
        """Of the one that runs."""
        return self._running.backend.name

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        return self._running.backend.input_shape

    @property
    def in_flight(self) -> int:
        return in_flight(self._running.backend)

    @property
    def last_count(self) -> int:
        """How many frames were run at once, the last time."""
        return self._last_count

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, H, W, C) uint8 -> (N, K).

        Raises:
            BackendError: it fails, and so does the spare, or there is none.
        """
        place = self._enter(len(frames))
        try:
            answer = place.backend.infer(frames)
        except BackendError as error:
            return self.rescue(place, frames, error)
        except BaseException:
            self.leave(place)
            raise
        self.leave(place)
        return answer

    def submit(self, frames: NDArray[np.uint8]) -> Pending:
        """Queue frames on the backend that runs; one that takes only one batch at once runs them.

        Raises:
            BackendError: as `infer`.
        """
        place = self._enter(len(frames))
        pipelined = place.pipelined
        if pipelined is None:
            self.leave(place)
            return Done(self.infer(frames))
        try:
            pending = pipelined.submit(frames)
        except BackendError as error:
            return Done(self.rescue(place, frames, error))
        except BaseException:
            self.leave(place)
            raise
        return _OnItsWay(self, place, frames, pending)

    def offer(self, backend: Backend) -> bool:
        """Let a backend take over before the next frame.

        Returns:
            False where this was closed meanwhile: then the backend is, too.

        Raises:
            BackendError: it takes other frames; it is closed.
        """
        if backend.input_shape != self.input_shape:
            wrong = f"{backend.name} takes {backend.input_shape}, not {self.input_shape}"
            backend.close()
            raise BackendError(f"{wrong}; compile it again")
        with self._lock:
            if self._is_open:
                self._offered = backend
                return True
        backend.close()
        return False

    def on_close(self, call: Callable[[], None]) -> None:
        """What to do when it is closed, before the backend is."""
        self._on_close.append(call)

    def close(self) -> None:
        """Close whatever runs, ran or was offered. A second call does nothing."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            offered, self._offered = self._offered, None
        for call in self._on_close:
            call()
        if offered is not None:
            offered.close()
        for place in (*self._left, self._running):
            place.backend.close()

    def _enter(self, count: int) -> _Place:
        with self._lock:
            self._last_count = count
            if self._offered is not None:
                self._replace(_Place(self._offered))
                self._offered = None
            self._running.users += 1
            return self._running

    def leave(self, place: _Place) -> None:
        """One call less in a backend; one that is left and empty is closed."""
        with self._lock:
            place.users -= 1
            if place.users or place not in self._left:
                return
            self._left.remove(place)
        place.backend.close()

    def _replace(self, place: _Place) -> None:
        """Within the lock."""
        before, self._running = self._running, place
        self.switches.append(before.backend.name)
        if before.users:
            self._left.append(before)
        else:
            before.backend.close()

    def rescue(self, place: _Place, frames: NDArray[np.uint8], error: BackendError) -> NDArray[Any]:
        """Run frames that a backend failed at on the spare, which stays from now on."""
        try:
            with self._lock:
                if place is self._running:
                    if self._spare is None or place.is_spare or not self._is_open:
                        raise error
                    try:
                        spare = _Place(self._spare(), is_spare=True)
                    except EdgecnnError:
                        raise error from None
                    self._replace(spare)
                    log.warning("%s; going on with %s", error, spare.backend.name)
        finally:
            self.leave(place)
        return self.infer(frames)


class _Place:
    """A backend, and how many calls are in it."""

    def __init__(self, backend: Backend, *, is_spare: bool = False) -> None:
        self.backend = backend
        self.is_spare = is_spare
        self.users = 0

    @property
    def pipelined(self) -> PipelinedBackend | None:
        return cast(PipelinedBackend, self.backend) if in_flight(self.backend) > 1 else None


class Done:
    """An answer that is there already."""

    def __init__(self, answer: NDArray[Any]) -> None:
        self._answer = answer

    def result(self) -> NDArray[Any]:
        return self._answer


class _OnItsWay:
    """An answer of the backend that ran when its frames were submitted."""

    def __init__(
        self, owner: SwitchingBackend, place: _Place, frames: NDArray[np.uint8], pending: Pending
    ) -> None:
        self._owner = owner
        self._place = place
        self._frames = frames
        self._pending = pending
        self._answer: NDArray[Any] | None = None

    @property
    def spent_ns(self) -> int | None:
        return spent_ns(self._pending)

    def result(self) -> NDArray[Any]:
        if self._answer is None:
            try:
                self._answer = self._pending.result()
            except BackendError as error:
                self._answer = self._owner.rescue(self._place, self._frames, error)
            else:
                self._owner.leave(self._place)
        return self._answer
