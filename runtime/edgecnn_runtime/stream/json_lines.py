"""One JSON object a line for every result: whole lines, or none."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from edgecnn_runtime.stream.result import Result, record_of


class JsonLines:
    """Write results as they come, so that another program can follow the file.

    Raises:
        OSError: the file cannot be made; from `write`, that the disk is full or the reader gone.
            A line that did not fit is taken back.
    """

    def __init__(self, path: Path | None) -> None:
        """Open a file, or standard output for None."""
        self._encoder = msgspec.json.Encoder()
        self._is_file = path is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        # Unbuffered: after a fault nothing is left that would be written, or fail, a second time.
        self._handle = os.open(path, flags, 0o644) if path is not None else os.dup(1)
        self._length = 0

    def write(self, result: Result) -> None:
        """Append one line."""
        line = self._encoder.encode(record_of(result)) + b"\n"
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            if self._is_file:
                os.ftruncate(self._handle, self._length)
            raise
        self._length += len(line)

    def close(self) -> None:
        """Close the file; standard output itself stays open."""
        os.close(self._handle)
