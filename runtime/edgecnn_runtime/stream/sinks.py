"""Where results go besides the caller: files, standard output. Each has a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgecnn_runtime.camera.newest import Handoff
from edgecnn_runtime.camera.sources import expand
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.json_lines import JsonLines
from edgecnn_runtime.stream.recording import VIDEO_SUFFIXES, VideoFile
from edgecnn_runtime.stream.result import Result

log = logging.getLogger("edgecnn")

WAITING = 4  # results that wait for a sink; each may hold a frame

TAKEN = "window, FILE.mp4, FILE.avi, FILE.jsonl or - for JSON lines on standard output"


class Writer(Protocol):
    """What writes results somewhere.

    `write` and `close` raise OSError when that fails; after a failed `write` only `close` is called
    and must leave nothing half-written.
    """

    def write(self, result: Result) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class SinkSummary:
    """What became of a sink.

    Attributes:
        frames: results written. `dropped` are those of a live stream that it was too slow for.
        error: why it was closed before the end, None where all went well.
    """

    uri: str
    frames: int
    dropped: int
    error: str | None


class Sink:
    """A writer behind a queue, in a thread of its own. Its failure is said once and ends it alone.

    Args:
        lossless: a full queue makes the stream wait (files); otherwise the oldest result is dropped
            and counted, so that a slow disk never slows a camera.
    """

    def __init__(self, uri: str, writer: Writer, *, lossless: bool) -> None:
        self.uri = uri
        self._writer = writer
        self._queue: Handoff[Result] = Handoff(WAITING, lossless=lossless)
        self._frames = 0
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"edgecnn-sink {uri}", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Pass a result on. A sink that has failed takes it and does nothing."""
        self._queue.put(result)

    def close(self) -> SinkSummary:
        """Write what waits, close, and say what became of it."""
        self._queue.finish()
        self._thread.join()
        return SinkSummary(self.uri, self._frames, self._queue.dropped, self._error)

    def _run(self) -> None:
        try:
            try:
                while (result := self._queue.get()) is not None:
                    self._writer.write(result)
                    self._frames += 1
            finally:
                self._writer.close()
        except Exception as error:  # a sink of any kind must not end the stream
            reason = error.strerror if isinstance(error, OSError) else None
            self._error = reason or str(error) or type(error).__name__
            log.warning("sink %s: %s; closed, the stream goes on", self.uri, self._error)
        finally:
            self._queue.close()


def open_sinks(
    uris: Sequence[str],
    *,
    lossless: bool,
    fps: float | None = None,
    random_weights: bool = False,
) -> list[Sink]:
    """Open file and standard-output sinks.

    Args:
        uris: `*.mp4`, `*.avi`, `*.jsonl` or `-`; may hold `${ENV}`.
        lossless: see `Sink`.
        fps: frames a second that recordings play at, and 25 where None.
        random_weights: recordings say so on every picture.

    Raises:
        InputError: an unknown kind, or a file that cannot be made. Nothing is left open.
    """
    writers: list[tuple[str, Writer]] = []
    try:
        for uri in uris:
            writer = _open_writer(expand(uri), fps, random_weights)
            writers.append((uri, writer))
    except BaseException:
        for _, writer in writers:
            writer.close()
        raise
    return [Sink(uri, writer, lossless=lossless) for uri, writer in writers]


def _open_writer(uri: str, fps: float | None, random_weights: bool) -> Writer:
    path = Path(uri).expanduser()
    try:
        if uri == "-":
            return JsonLines(None)
        if path.suffix == ".jsonl":
            return JsonLines(path)
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return VideoFile(path, fps or 25.0, random_weights=random_weights)
    except OSError as error:
        if not path.parent.is_dir():
            raise InputError(f"sink {uri}: there is no folder {path.parent}; make it") from error
        raise InputError(f"sink {uri} cannot be written: {error.strerror}") from error
    raise InputError(f"unknown sink {uri!r}; expected {TAKEN}")
