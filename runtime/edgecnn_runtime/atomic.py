"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    with staged_file(path, data):
        pass


@contextmanager
def staged_file(path: Path, data: bytes) -> Iterator[None]:
    """Write a file under another name beside `path`; it takes its place when the block ends well.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        yield
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
