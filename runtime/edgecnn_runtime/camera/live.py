"""A camera: opened, lost, found again."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Literal

from edgecnn_runtime.camera.connection import Capture, Connection, Taken
from edgecnn_runtime.camera.patience import Patience, pauses
from edgecnn_runtime.camera.source import Captured
from edgecnn_runtime.camera.worth import FrameCheck
from edgecnn_runtime.errors import SourceError

__all__ = ["CameraSource", "Capture"]

log = logging.getLogger("edgecnn")

MOST_HANGING = 4  # connections whose calls never came back; with more, no further one is opened
RELEASE = 2.0  # seconds to wait for a camera to be let go


class CameraSource:
    """Frames of a camera, for as long as there is one; the newest, where the reader is slow.

    A camera that is lost, gives no new frame for `patience.stall` seconds, repeats one picture or
    hangs in its driver is left and opened again after pauses that grow and are jittered, until it
    is back, has failed `patience.retries` times in a row, or `stop` is called. Whoever reads waits
    meanwhile: no old or blank frame is given.

    Args:
        connect: opens the camera; raises SourceError. Called in a thread of its own.
        later: start with the first `read`, and treat a camera that is absent then like one that was
            lost; otherwise it is opened here.
        age_from: what its stamps are of.
        check: what tells pictures from repeats and from blank ones; by default a sensor's.
        depth: how many frames may wait for the reader.
        pause: waits some seconds, or less when the source is stopped; tests inject their own.
        jitter: a number from 0 to 1 for each pause.

    Raises:
        SourceError: the camera cannot be opened the first time; from `read`, that it was given up.
    """

    is_live = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Capture],
        *,
        patience: Patience | None = None,
        later: bool = False,
        age_from: Literal["capture", "arrival"] = "arrival",
        check: FrameCheck | None = None,
        depth: int = 1,
        pause: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.age_from: Literal["capture", "arrival"] = age_from
        self.reconnects = 0
        self.fps: float | None = None
        self._frames = self._errors = self._dropped = 0  # of the connections before this one
        self._connect = connect
        self._patience = patience or Patience()
        self._check = check or FrameCheck(name)
        self._depth = depth
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._jitter = jitter
        self._connection: Connection | None = None
        self._hanging: list[Connection] = []
        self._lost_at: float | None = None
        self._pauses = pauses(jitter)
        self._attempts = 0
        self._was_open = False
        if not later:
            self._open()

    @property
    def errors(self) -> int:
        """Frames that could not be decoded."""
        return self._errors + (self._connection.errors if self._connection else 0)

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were read."""
        return self._dropped + (self._connection.dropped if self._connection else 0)

    def read(self) -> Captured | None:
        """The next frame, after a reconnect where that is needed; None once stopped."""
        while not self._stopped.is_set():
            connection = self._connection
            if connection is None:
                self._look()
                continue
            taken = connection.take(self._patience.stall)
            if taken is not None:
                return self._give(taken)
            if not self._stopped.is_set():
                self._lose(connection.why or "it gives no more frames")
        return None

    def _give(self, taken: Taken) -> Captured:
        if self._lost_at is not None:
            self.reconnects += self._was_open
            seconds = perf_counter() - self._lost_at
            log.warning("camera %s is back after %.1f s", self.name, seconds)
        self._lost_at, self._attempts, self._was_open = None, 0, True
        return Captured(taken.frame, taken.stamp_ns, taken.utc, self._frames + taken.number)

    def _lose(self, why: str) -> None:
        """Leave a connection and say so, once until it is back."""
        self._leave()
        if self._lost_at is None:
            self._lost_at = perf_counter()
            self._pauses = pauses(self._jitter)
            what = "is lost" if self._was_open else "does not open"
            log.warning("camera %s %s: %s; looking for it", self.name, what, why)
        self._give_up(why)

    def _give_up(self, why: str) -> None:
        retries = self._patience.retries
        if retries is not None and self._attempts >= retries:
            raise SourceError(
                f"camera {self.name} is given up after {self._attempts} attempts: {why}"
            )

    def _look(self) -> None:
        """One attempt, after a pause where it is not the first."""
        if self._lost_at is not None:
            self._pause(next(self._pauses))
            self._attempts += 1
        if self._stopped.is_set():
            return
        try:
            self._open()
        except SourceError as error:
            if not self._stopped.is_set():
                self._lose(str(error))

    def _open(self) -> None:
        self._hanging = [c for c in self._hanging if c.is_running]
        if len(self._hanging) >= MOST_HANGING:
            raise SourceError(
                f"{MOST_HANGING} calls into its driver hang; unplug it, or restart the program"
            )
        self._check.reopened()
        connection = self._connection = Connection(
            self._connect, self._check, self.name, self._depth
        )
        if self._stopped.is_set():  # `stop` may have come before it could know of it
            connection.abandon()
        try:
            connection.wait_open(self._patience.open_timeout)
        except SourceError:
            self._leave()
            raise
        self.fps = connection.fps or self.fps

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.abandon()
        # A device that still is open cannot be opened again; one that hangs is not waited for.
        connection.join(RELEASE)
        self._frames += connection.frames
        self._errors += connection.errors
        self._dropped += connection.dropped
        if connection.is_running:
            self._hanging.append(connection)

    def stop(self) -> None:
        """End `read`, from any thread, a pause between attempts included."""
        self._stopped.set()
        if (connection := self._connection) is not None:
            connection.abandon()

    def close(self) -> None:
        """Release the camera."""
        self._leave()
