"""A decoded, smaller copy of training images, for where decoding is what training waits for.

The pixels are those of the copy whether it is there or not: a file that the disk had no room for is
decoded and scaled again each time. So a run does not depend on what the cache holds.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecnn.data.folders import Files
from edgecnn.data.location import cache_folder
from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.camera.image import read_image
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]

ROOM = 1.25  # shorter side of the copy, as a multiple of the largest that training scales to
LIMIT = 20.0  # GB


@dataclass(frozen=True)
class Resized:
    """Image files whose shorter side is scaled down to `side`; smaller ones stay as they are.

    Attributes:
        interpolation: the manifest's.
        folder: of the copies.
    """

    files: Files
    side: int
    interpolation: str
    folder: Path

    @property
    def targets(self) -> NDArray[np.int64]:
        return self.files.targets

    def __len__(self) -> int:
        return len(self.files)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        try:
            frame: Frame = np.load(self.place(index))
        except (OSError, ValueError, EOFError):  # not there, or damaged
            return self.make(index)
        return frame

    def place(self, index: int) -> Path:
        """Where the copy lies: another file, size, time, side or filter lies elsewhere."""
        path = self.files.paths[index]
        status = path.stat()
        key = (str(path.resolve()), status.st_size, status.st_mtime_ns, self.side)
        name = hashlib.sha256(repr((*key, self.interpolation)).encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.npy"

    def make(self, index: int) -> Frame:
        """Decode and scale: uint8 (H, W, 3) BGR."""
        frame = read_image(self.files.paths[index])
        height, width = frame.shape[:2]
        shorter = min(height, width)
        if shorter <= self.side:
            return frame
        spec = msgspec.convert(
            {
                "height": max(1, round(height * self.side / shorter)),
                "width": max(1, round(width * self.side / shorter)),
                "channels": 3,
                "color": "bgr",
                "resize": "stretch",
                "interpolation": self.interpolation,
                "mean": (0.0, 0.0, 0.0),
                "std": (1.0, 1.0, 1.0),
            },
            Input,
        )
        return preprocess(frame, spec)


@dataclass(frozen=True)
class Filled:
    """What `fill` did: images that have a copy, those made now, bytes of the whole cache."""

    images: int
    made: int
    bytes: int


def resized(files: object, side: int, interpolation: str) -> Resized:
    """The copy's view of a split.

    Raises:
        InputError: the split is not one of image files.
    """
    if not isinstance(files, Files):
        raise InputError("--cache keeps decoded image files; this data set lies in memory already")
    return Resized(files, side, interpolation, cache_folder() / "decoded")


def fill(
    split: Resized,
    limit: float = LIMIT,
    progress: Callable[[Sequence[int]], Iterable[int]] = lambda steps: steps,
) -> Filled:
    """Make the copies that are missing, until the cache holds `limit` GB.

    Older copies, of other data, make room first.

    Raises:
        SourceError: a file that cannot be decoded.
    """
    places = [split.place(i) for i in range(len(split))]
    missing = [i for i, place in enumerate(places) if not place.is_file()]
    ours = set(places)
    others = sorted(
        (p for p in split.folder.glob("*/*.npy") if p not in ours), key=lambda p: p.stat().st_mtime
    )
    sizes = {p: p.stat().st_size for p in [*others, *(p for p in places if p.is_file())]}
    total, made = sum(sizes.values()), 0

    def encoded(index: int) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, split.make(index))
        return buffer.getvalue()

    step = 4 * (os.cpu_count() or 1)  # decoded at once: not all of them fit into memory
    with ThreadPoolExecutor() as pool:
        for start in progress(range(0, len(missing), step)):
            part = missing[start : start + step]
            for index, data in zip(part, pool.map(encoded, part), strict=True):
                while others and total + len(data) > limit * 1e9:
                    oldest = others.pop(0)
                    total -= sizes[oldest]
                    oldest.unlink(missing_ok=True)
                if total + len(data) > limit * 1e9:
                    return Filled(len(places) - len(missing) + made, made, total)
                atomic_write(places[index], data)
                total, made = total + len(data), made + 1
    return Filled(len(places), made, total)
