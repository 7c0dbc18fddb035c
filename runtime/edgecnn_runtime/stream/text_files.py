"""A line for every result, as JSON or CSV: whole lines, or none."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Protocol

import msgspec

from edgecnn_runtime.stream.result import Result, record_of
from edgecnn_runtime.stream.rotation import Rotation, Series


class Lines(Protocol):
    """How a result becomes a line; `header` begins every file."""

    header: bytes

    def line(self, result: Result) -> bytes: ...


class JsonLine:
    """One JSON object."""

    header = b""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def line(self, result: Result) -> bytes:
        return self._encoder.encode(record_of(result)) + b"\n"


CSV_COLUMNS = (
    *("utc", "source", "index", "label", "probability", "steady_label", "steady_probability"),
    *("event", "frame_age_ms", "preprocess_ms", "infer_ms", "postprocess_ms", "backend"),
)


class CsvLine:
    """One row of `CSV_COLUMNS`; a field that a result lacks is empty."""

    header = (",".join(CSV_COLUMNS) + "\r\n").encode()

    def line(self, result: Result) -> bytes:
        record = record_of(result)
        record["utc"] = result.captured_at.isoformat().replace("+00:00", "Z")
        record["event"] = " ".join(event.label for event in result.events)
        text = io.StringIO()
        csv.writer(text).writerow([record.get(column, "") for column in CSV_COLUMNS])
        return text.getvalue().encode()


class TextFile:
    """Write results as they come, so that another program can follow the file.

    Raises:
        OSError: the file cannot be made; from `write`, that the disk is full or the reader gone.
            A line that did not fit is taken back.
    """

    def __init__(self, path: Path | None, lines: Lines, rotation: Rotation | None = None) -> None:
        """Open a file, or standard output for None."""
        self._lines = lines
        self._series = Series(path, rotation) if path is not None else None
        self._handle = -1
        self._length = 0
        self._open()

    def _open(self) -> None:
        # Unbuffered: after a fault nothing is left that would be written, or fail, a second time.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        if self._series is None:
            self._handle = os.dup(1)
        else:
            path = self._series.next_path()
            self._handle = os.open(path, flags, 0o644)
            self._series.make_room(path)
        self._length = 0
        if self._lines.header:
            self._append(self._lines.header)

    def write(self, result: Result) -> None:
        """Append one line."""
        if self._series is not None and self._series.is_due(self._length):
            self.close()
            self._open()
        self._append(self._lines.line(result))

    def _append(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            if self._series is not None:
                os.ftruncate(self._handle, self._length)
            raise
        self._length += len(line)

    def close(self) -> None:
        """Close the file; standard output itself stays open. A second call does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)
