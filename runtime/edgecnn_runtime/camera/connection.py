"""One connection to a camera, in a thread that may hang in a driver without hanging anyone else."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from time import perf_counter, perf_counter_ns
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.worth import FrameCheck
from edgecnn_runtime.errors import SourceError, one_line

log = logging.getLogger("edgecnn")


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that a camera needs."""

    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, object]: ...
    def get(self, prop: int, /) -> float: ...
    def release(self) -> None: ...


class Taken(NamedTuple):
    """A frame as it left the camera."""

    frame: NDArray[np.uint8]
    stamp_ns: int
    utc: datetime
    number: int  # among those of the connection


class Connection:
    """Opens a camera and keeps its newest frames, until it is lost or abandoned.

    A call into a driver or a network can hang and cannot be ended from outside. So whoever reads
    waits for so long and then abandons the connection: its thread lets go of the camera when the
    call comes back, if it ever does, and what it still gives is thrown away.

    Args:
        depth: how many frames may wait; a newer one replaces the oldest.

    Attributes:
        frames: new ones so far; `dropped` are those that were replaced before they were taken.
        errors: frames that could not be decoded.
        fps: as the camera announces it, None where it does not.
        why: what ended it, None while it runs.
    """

    def __init__(
        self, connect: Callable[[], Capture], check: FrameCheck, name: str, depth: int = 1
    ) -> None:
        self.frames = 0
        self.dropped = 0
        self.errors = 0
        self.fps: float | None = None
        self.why: str | None = None
        self._connect = connect
        self._check = check
        self._name = name
        self._waiting: deque[Taken] = deque()
        self._depth = depth
        self._is_open = False
        self._abandoned = False
        self._heard = perf_counter()
        # Reentrant: a signal handler may call `abandon` in the thread that holds it.
        self._changed = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, name=f"edgecnn-{name}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether its thread still is, perhaps hanging in a call."""
        return self._thread.is_alive()

    def wait_open(self, seconds: float) -> None:
        """Wait until the camera is open.

        Raises:
            SourceError: it cannot be opened, or not in that time.
        """
        with self._changed:
            done = self._changed.wait_for(
                lambda: self._is_open or self.why is not None or self._abandoned, seconds
            )
            if self._is_open or self._abandoned:  # that it was lost meanwhile, `take` tells
                return
            if self.why is not None:
                raise SourceError(self.why)
            if not done:
                self.why = f"{self._name} does not answer within {seconds:g} s"
                raise SourceError(self.why)

    def take(self, stall: float) -> Taken | None:
        """Wait for a frame that was not taken yet; None where it is lost, and `why` tells.

        Args:
            stall: seconds since the last new frame after which it counts as lost.
        """
        with self._changed:
            while not self._waiting:
                left = self._heard + stall - perf_counter()
                if self.why is None and left <= 0:
                    self.why = self._check.why or f"it gave no frame for {stall:g} s"
                if self.why is not None or self._abandoned:
                    return None
                self._changed.wait(left)
            return self._waiting.popleft()

    def abandon(self) -> None:
        """Want nothing more of it. From any thread or signal handler; waits for nothing."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """Wait until the camera is released, but not for ever."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        with quiet_opencv():  # it has a word to say of every timeout
            self._open_and_pump()

    def _open_and_pump(self) -> None:
        try:
            capture = self._connect()
        except Exception as error:  # of whatever kind: it is the reader's to know
            self._end(str(error) if isinstance(error, SourceError) else one_line(error))
            return
        try:
            rate = capture.get(cv2.CAP_PROP_FPS)
            with self._changed:
                self.fps = rate if 0 < rate < 1000 else None
                self._is_open = True
                self._heard = perf_counter()
                self._changed.notify_all()
            self._pump(capture)
        except Exception as error:
            self._end(str(error) if isinstance(error, SourceError) else one_line(error))
        finally:
            capture.release()

    def _pump(self, capture: Capture) -> None:
        while not self._abandoned:
            if not capture.grab():
                self._end("it gives no more frames")
                return
            # Decoding is part of the age.
            stamp_ns, utc = perf_counter_ns(), datetime.now(timezone.utc)
            good, frame = capture.retrieve()
            if not good or not isinstance(frame, np.ndarray) or not frame.size:
                self.errors += 1
            else:
                self._put(frame, stamp_ns, utc)

    def _put(self, frame: NDArray[np.uint8], stamp_ns: int, utc: datetime) -> None:
        with self._changed:  # the check is shared with the connection that follows
            if self._abandoned or not self._check.is_new(frame):
                return
            if len(self._waiting) >= self._depth:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(Taken(frame, stamp_ns, utc, self.frames))
            self.frames += 1
            self._heard = perf_counter()
            self._changed.notify()

    def _end(self, why: str) -> None:
        with self._changed:
            self.why = self.why or why
            self._changed.notify_all()
