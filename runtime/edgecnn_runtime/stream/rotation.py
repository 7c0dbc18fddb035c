"""Files that begin anew by size or time, and how much of the disk they may take together."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic

MB = 1e6
SHARES = 10  # with a limit for all files but none for one, a file may take a tenth of it


@dataclass(frozen=True)
class Rotation:
    """When a new file is begun and when old ones go.

    Attributes:
        rotate_bytes: a file that has so many is followed by the next.
        rotate_seconds: one that is so old is, too.
        keep_bytes: the oldest of all files are removed once they have more together.
    """

    rotate_bytes: int | None = None
    rotate_seconds: float | None = None
    keep_bytes: int | None = None

    @property
    def largest(self) -> int | None:
        """Bytes after which the next file begins."""
        if self.rotate_bytes is None and self.keep_bytes is not None:
            return max(1, self.keep_bytes // SHARES)
        return self.rotate_bytes


def rotation_of(rotate_mb: float | None, keep_mb: float | None) -> Rotation | None:
    """From the command line's megabytes; None where nothing is asked."""
    if rotate_mb is None and keep_mb is None:
        return None
    return Rotation(
        rotate_bytes=round(rotate_mb * MB) if rotate_mb is not None else None,
        keep_bytes=round(keep_mb * MB) if keep_mb is not None else None,
    )


class Series:
    """The files of one sink: a single one, or one after another, named by the time they began.

    `results.jsonl` that is rotated becomes `results-20261125T003000Z-0001.jsonl` and so on. Files
    of earlier runs count in the limit; nothing else in the folder is ever touched.
    """

    def __init__(self, path: Path, rotation: Rotation | None = None) -> None:
        self._path = path
        self._rotation = rotation if rotation != Rotation() else None
        self._number = 0
        self._began = 0.0

    def next_path(self) -> Path:
        """The name of the next file, which begins now."""
        self._began = monotonic()
        if self._rotation is None:
            return self._path
        self._number += 1
        now = datetime.now(timezone.utc)
        path = self._path
        return path.with_name(f"{path.stem}-{now:%Y%m%dT%H%M%SZ}-{self._number:04d}{path.suffix}")

    def is_due(self, length: int) -> bool:
        """Whether a file of so many bytes is to be followed by the next."""
        if self._rotation is None:
            return False
        largest, seconds = self._rotation.largest, self._rotation.rotate_seconds
        if largest is not None and length >= largest:
            return True
        return seconds is not None and monotonic() - self._began >= seconds

    def make_room(self, current: Path | None = None) -> None:
        """Remove the oldest files until the rest is within the limit; `current` stays."""
        if self._rotation is None or self._rotation.keep_bytes is None:
            return
        sizes = {path: path.stat().st_size for path in self._files()}
        total = sum(sizes.values())
        for path, size in sizes.items():
            if total <= self._rotation.keep_bytes:
                break
            if path != current:
                with suppress(FileNotFoundError):
                    path.unlink()
                total -= size

    def _files(self) -> list[Path]:
        """Those of this series, the oldest first."""
        stem, suffix = re.escape(self._path.stem), re.escape(self._path.suffix)
        named = re.compile(rf"{stem}-\d{{8}}T\d{{6}}Z-\d{{4,}}{suffix}")
        return sorted(p for p in self._path.parent.iterdir() if named.fullmatch(p.name))
