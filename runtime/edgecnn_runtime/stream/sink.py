"""A writer of results behind a queue, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgecnn_runtime.camera.intake import Intake, Lane
from edgecnn_runtime.stream.result import Result

log = logging.getLogger("edgecnn")

WAITING = 4  # results that wait for a sink
CLOSING = 60.0  # seconds for a sink to end; a network disk may hang for ever


class Writer(Protocol):
    """What writes results somewhere.

    `write` and `close` raise OSError when that fails; after a failed `write` only `close` is called
    and must leave nothing half-written.
    """

    def write(self, result: Result) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class Patient(Protocol):
    """A writer that tries again; `hurry` tells it, from another thread, that the end has come."""

    def hurry(self) -> None: ...


class UndeliveredError(OSError):
    """The other end did not take a result. The sink stays open and tries the next one."""


@dataclass(frozen=True)
class SinkSummary:
    """What became of a sink.

    Attributes:
        uri: without credentials.
        frames: results written. `dropped` are those of a live stream that it was too slow for, and
            those that its other end did not take.
        error: why it was closed before the end, or did not deliver at the end; None where all went
            well.
    """

    uri: str
    frames: int
    dropped: int
    error: str | None


class Sink:
    """A writer behind a queue, in a thread of its own. Its failure is said once and ends it alone.

    Args:
        uri: what it is called; must hold no credentials.
        lossless: a full queue makes the stream wait (files); otherwise the oldest result is dropped
            and counted, so that a slow disk never slows a camera.
        takes: which results it wants; all where None.
        waiting: how many results may wait; each may hold a frame.
    """

    def __init__(
        self,
        uri: str,
        writer: Writer,
        *,
        lossless: bool,
        takes: Callable[[Result], bool] | None = None,
        waiting: int = WAITING,
    ) -> None:
        self.uri = uri
        self._writer = writer
        self._takes = takes
        self._lane: Lane[Result] = Lane(waiting, lossless=lossless)
        self._queue = Intake([self._lane])
        self._frames = self._lost = 0
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"edgecnn-sink {uri}", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Pass a result on. A sink that has failed takes it and does nothing."""
        if self._takes is None or self._takes(result):
            self._queue.put(0, result)

    def summary(self) -> SinkSummary:
        """What became of it so far. From any thread."""
        dropped = self._lane.dropped + self._lost
        return SinkSummary(self.uri, self._frames, dropped, self._error)

    def close(self) -> SinkSummary:
        """Write what waits, close, and say what became of it."""
        self._queue.finish(0)
        if isinstance(self._writer, Patient):
            self._writer.hurry()
        self._thread.join(CLOSING)
        if self._thread.is_alive():
            self._error = f"did not end within {CLOSING:.0f} s and was left behind"
            log.warning("sink %s: %s", self.uri, self._error)
        return self.summary()

    def _run(self) -> None:
        try:
            try:
                while taken := self._queue.get():
                    self._deliver(taken[0][1])
            finally:
                self._writer.close()
        except Exception as error:  # a sink of any kind must not end the stream
            self._error = _reason(error)
            log.warning("sink %s: %s; closed, the stream goes on", self.uri, self._error)
        finally:
            self._queue.close()

    def _deliver(self, result: Result) -> None:
        try:
            self._writer.write(result)
        except UndeliveredError as error:
            if self._error is None:
                said = "%s: %s; results are dropped until it takes them again"
                log.warning(f"sink {said}", self.uri, error)
            self._lost += 1
            self._error = str(error)
            return
        self._frames += 1
        if self._error is not None:
            log.warning("sink %s: takes results again", self.uri)
            self._error = None


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__
