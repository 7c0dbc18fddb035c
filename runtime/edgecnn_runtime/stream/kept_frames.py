"""Frames that are kept as images: those of events, and those that the network is unsure of."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.similar import LEVELS, difference, thumbnail

UNSURE = 0.6  # a best answer below it is uncertain
CLOSE = 0.2  # so is one that leads by less
NAME_BYTES = 90  # of a source or a label in a file's name, which may have 255


class Folder:
    """A folder of JPEG files named by time, source and label, with a limit of the bytes in it."""

    def __init__(self, folder: Path, keep_bytes: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._keep_bytes = keep_bytes
        self._files = [(p, p.stat().st_size) for p in sorted(folder.glob("*Z_*.jpg"))]
        self._total = sum(size for _, size in self._files)

    def save(self, result: Result, frame: NDArray[np.uint8], what: str) -> Path:
        """Write one frame; the oldest go where there are too many bytes.

        Raises:
            OSError: the disk is full; nothing half-written is left.
        """
        utc = result.captured_at.strftime("%Y%m%dT%H%M%S.%f")[:-3]
        name = f"{utc}Z_{plain_name(result.source)}_{result.index}_{plain_name(what)}.jpg"
        path, data = self._folder / name, encode_jpeg(frame, 95)
        atomic_write(path, data)
        self._files.append((path, len(data)))
        self._total += len(data)
        while self._keep_bytes is not None and self._total > self._keep_bytes and self._files[1:]:
            oldest, size = self._files.pop(0)
            oldest.unlink(missing_ok=True)
            self._total -= size
        return path


class EventFrames:
    """The sink that keeps the frame of every event."""

    def __init__(self, folder: Path, keep_bytes: int | None = None) -> None:
        self._folder = Folder(folder, keep_bytes)

    def write(self, result: Result) -> None:
        for event in result.events:
            self._folder.save(result, result.frame, event.label)

    def close(self) -> None: ...


class UncertainFrames:
    """The sink that keeps uncertain frames for labelling; never two that show the same."""

    def __init__(self, folder: Path, keep_bytes: int | None = None) -> None:
        self._folder = Folder(folder, keep_bytes)
        self._last: dict[str, NDArray[np.float32]] = {}

    def write(self, result: Result) -> None:
        if not is_uncertain(result):
            return
        small = thumbnail(result.frame)
        last = self._last.get(result.source)
        if last is not None and difference(small, last) < LEVELS:
            return
        self._last[result.source] = small
        best = result.best
        self._folder.save(result, result.frame, f"{best.probability:.2f}_{best.label}")

    def close(self) -> None: ...


def is_uncertain(result: Result) -> bool:
    """Whether the answer to this frame alone is improbable, or another is nearly as probable."""
    if not result.predictions:
        return False
    best = result.best.probability
    second = result.predictions[1].probability if len(result.predictions) > 1 else 0.0
    return best < UNSURE or best - second < CLOSE


def encode_jpeg(frame: NDArray[np.uint8], quality: int) -> bytes:
    """uint8 (H, W, 3) BGR as JPEG."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError(f"a frame of {frame.shape} cannot be written as JPEG")
    return data.tobytes()


def plain_name(text: str) -> str:
    """A label or a source as part of a file's name, of `NAME_BYTES` at the most in UTF-8."""
    short = text.encode(errors="replace")[:NAME_BYTES].decode(errors="ignore")
    return re.sub(r"[^\w.-]+", "-", short).strip(".-_") or "x"
