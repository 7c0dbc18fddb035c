"""What every source of frames looks like to the loop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from time import perf_counter_ns
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame and when it was taken.

    Attributes:
        frame: uint8 (H, W, 3) BGR; nothing else writes into it.
        stamp_ns: `time.perf_counter_ns` at capture or arrival, see `Source.age_from`.
        utc: the same moment on the wall's clock.
        index: of the frames of this source, from 0.
        film_s: seconds into the film; None of what has no time of its own.
    """

    frame: NDArray[np.uint8]
    stamp_ns: int
    utc: datetime
    index: int
    film_s: float | None = None


class Source(Protocol):
    """Gives frames one after another.

    `read` and `close` are called by one thread, `stop` by any.

    Attributes:
        name: for people and records; never holds credentials.
        is_live: frames come whether or not someone takes them, so only the newest is worth having.
        age_from: whether `stamp_ns` is of the capture itself or of the arrival here.
        fps: frames a second as announced, None where unknown.
        reconnects: how often it was lost and came back.
        errors: how many frames could not be read and were skipped.
        dropped: how many of a live source's a newer one replaced before `read` took them.
    """

    @property
    def name(self) -> str: ...
    @property
    def is_live(self) -> bool: ...
    @property
    def age_from(self) -> Literal["capture", "arrival"]: ...
    @property
    def fps(self) -> float | None: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def dropped(self) -> int: ...

    def read(self) -> Captured | None:
        """The next frame; None at the end."""
        ...

    def stop(self) -> None:
        """Make a `read` that waits return None soon."""
        ...

    def close(self) -> None:
        """Release the device or file. A second call does nothing."""
        ...


def stamped(frame: NDArray[np.uint8], index: int, film_s: float | None = None) -> Captured:
    """A frame that was captured just now."""
    return Captured(frame, perf_counter_ns(), datetime.now(timezone.utc), index, film_s)
