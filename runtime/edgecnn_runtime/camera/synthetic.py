"""A live source without a camera, whose frames tell in their pixels when they were taken."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from time import perf_counter_ns
from typing import Literal
from urllib.parse import parse_qsl

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.adjusted import adjusted
from edgecnn_runtime.camera.settings import Settings, settings_of
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.errors import InputError

BLOCK = 8  # pixels of a bit's side: large enough for a codec to keep
COLUMNS, ROWS = 18, 4  # 64 bits of the time and 8 to check them
CODE = (ROWS * BLOCK, COLUMNS * BLOCK)  # height and width in the frame's corner
_BITS = COLUMNS * ROWS


def burn(frame: NDArray[np.uint8], time_ns: int) -> None:
    """Write a time into the upper left corner of a frame, in place, as black and white blocks.

    Args:
        frame: uint8 (H, W) or (H, W, 3), at least `CODE` large.
        time_ns: below 2**64.
    """
    content = time_ns.to_bytes(8, "big")
    bits = np.unpackbits(np.frombuffer(content + bytes([_check(content)]), np.uint8))
    levels = (bits.reshape(ROWS, COLUMNS) * 255).repeat(BLOCK, 0).repeat(BLOCK, 1)
    frame[: CODE[0], : CODE[1]] = levels if frame.ndim == 2 else levels[:, :, None]


def burned(frame: NDArray[np.uint8]) -> int | None:
    """The time in ns that a frame carries, None where it carries none that can be read."""
    corner = frame[: CODE[0], : CODE[1]]
    if corner.shape[:2] != CODE:
        return None
    grey = corner if corner.ndim == 2 else corner.mean(axis=2)
    means = grey.reshape(ROWS, BLOCK, COLUMNS, BLOCK).mean(axis=(1, 3))
    content = np.packbits((means > 127).reshape(_BITS)).tobytes()
    return int.from_bytes(content[:8], "big") if _check(content[:8]) == content[8] else None


def _check(content: bytes) -> int:
    return (sum(content) ^ 0x5A) & 0xFF


@dataclass(frozen=True)
class Synthetic:
    """What a synthetic camera gives.

    Attributes:
        size: width and height, at least as large as the code.
        fps: frames a second.
        frames: how many before it ends; None for ever.
        seed: of the noise.
    """

    size: tuple[int, int] = (640, 480)
    fps: float = 30.0
    seed: int = 0
    frames: int | None = None


class SyntheticSource:
    """A noisy picture that pans, at a camera's pace; whoever is late misses frames.

    The time of capture is `time.perf_counter_ns`, which `burned` reads back.
    """

    is_live = True
    age_from: Literal["capture", "arrival"] = "capture"
    reconnects = 0
    errors = 0

    def __init__(self, name: str, what: Synthetic) -> None:
        self.name = name
        self.fps: float | None = what.fps
        self.dropped = 0
        self._what = what
        self._texture = _texture(what)
        self._period_ns = round(1e9 / what.fps)
        self._begin_ns: int | None = None
        self._index = -1
        self._stopped = threading.Event()

    def read(self) -> Captured | None:
        """Wait for the next frame; None after the last or once stopped."""
        now = perf_counter_ns()
        if self._begin_ns is None:
            self._begin_ns = now
        # Frames that were due while nobody read are lost, as a camera's are.
        following = max(self._index + 1, (now - self._begin_ns) // self._period_ns)
        if self._what.frames is not None and following >= self._what.frames:
            return None
        self.dropped += following - self._index - 1
        self._index = following
        due = self._begin_ns + following * self._period_ns
        while (left := due - perf_counter_ns()) > 0:
            if self._stopped.wait(left / 1e9):
                return None
        return None if self._stopped.is_set() else self._capture(following)

    def _capture(self, index: int) -> Captured:
        width = self._what.size[0]
        at = index % width
        frame = self._texture[:, at : at + width].copy()
        time_ns, utc = perf_counter_ns(), datetime.now(timezone.utc)
        burn(frame, time_ns)
        return Captured(frame, time_ns, utc, index)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        """Nothing is held."""


def _texture(what: Synthetic) -> NDArray[np.uint8]:
    """uint8 (H, 2 W, 3): blurred noise, the second half like the first."""
    width, height = what.size
    noise = np.random.default_rng(what.seed).integers(0, 256, (height, width, 3), np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    level = cv2.normalize(soft, np.empty_like(soft), 0, 255, cv2.NORM_MINMAX)
    return np.concatenate([level, level], axis=1).astype(np.uint8)


def open_synthetic(query: str, name: str, settings: Settings) -> Source:
    """From `synthetic://?size=640x480&fps=30&seed=1&frames=100`.

    Raises:
        InputError: a setting that is none, or too small a size.
    """
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    try:
        seed, frames = int(pairs.pop("seed", "0")), int(pairs.pop("frames", "0"))
    except ValueError:
        raise InputError(f"synthetic://?{query}: seed and frames are whole numbers") from None
    settings = settings_of(pairs, settings)
    size = settings.size or Synthetic.size
    if size[0] < CODE[1] or size[1] < CODE[0]:
        raise InputError(
            f"synthetic:// is asked for {size[0]}x{size[1]}; expected at least {CODE[1]}x{CODE[0]}"
        )
    what = Synthetic(size, settings.fps or Synthetic.fps, seed, frames or None)
    return adjusted(SyntheticSource(name, what), settings)
