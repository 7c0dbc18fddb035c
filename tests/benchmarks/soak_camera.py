"""A camera that follows a script: frames that tell which they are, and faults drawn by a seed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import SourceError

SIZES = ((64, 48), (80, 60))  # width and height: before and after each change of size
ON_THEIR_WAY = 24  # frames of all cameras that are not yet recorded: fewer than any queue holds
STALL = 1.0  # seconds after which a camera counts as lost; a fault lasts a little longer
HANG = 3.5  # seconds: longer than a stall and than a camera is waited for to let go

# The connection goes on after the first three.
FAULTS = {
    **{"damaged frame": 6, "other size": 3, "late frame": 3},
    **{"end": 8, "error": 4, "refused": 4, "stall": 1, "frozen": 1, "blank": 1, "hang": 1},
}
PASSING = ("damaged frame", "other size", "late frame")


class Credit:
    """Paces the cameras, so that none is faster than its frames are recorded.

    A camera of 30 frames a second is not; one that gave frames as fast as it could would overrun
    the queues, which then drop by design.

    Args:
        recorders: how many must have recorded a frame before another may come.
    """

    def __init__(self, recorders: int) -> None:
        self.given = 0
        self._recorded = [0] * recorders
        self._changed = threading.Condition()

    def take(self) -> bool:
        """Wait until a frame may be given; False where that takes seconds."""
        with self._changed:
            may = self._changed.wait_for(self._may, STALL)
            self.given += may
            return may

    def _may(self) -> bool:
        return self.given < min(self._recorded) + ON_THEIR_WAY

    def recorded(self, recorder: int) -> None:
        with self._changed:
            self._recorded[recorder] += 1
            self._changed.notify_all()


def mark(frame: NDArray[np.uint8], connection: int, serial: int) -> None:
    """Write into the first and the last pixels of a frame which it is."""
    code = np.array([connection, serial, 0], np.uint32).view(np.uint8).reshape(4, 3)
    frame[0, :4] = frame[-1, -4:] = code


def marked(frame: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Connection and serial number of a frame; None where it is not whole."""
    first, last = frame[0, :4].tobytes(), frame[-1, -4:].tobytes()
    connection, serial, zero = np.frombuffer(first, np.uint32).tolist()
    return (connection, serial) if first == last and not zero else None


@dataclass
class Script:
    """What a camera lives through, from one connection to the next.

    Args:
        photograph: what it sees, uint8 (H, W, 3).
        every: frames between two faults, on the average.

    Attributes:
        handed: good frames of each connection; a frame is marked with its number in its connection.
    """

    photograph: NDArray[np.uint8]
    seed: int
    every: int
    credit: Credit
    handed: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    is_large: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._pictures = [cv2.resize(self.photograph, size) for size in SIZES]
        self._refusals = 0

    def connect(self) -> ScriptedCapture:
        """The camera's driver: refuses sometimes, and gives a connection otherwise."""
        if self._refusals:
            self._refusals -= 1
            raise SourceError("the camera is not there")
        self.handed.append(0)
        return ScriptedCapture(self, len(self.handed) - 1)

    def next_fault(self) -> tuple[int, str]:
        """After how many frames comes which fault."""
        (name,) = self.random.choices(list(FAULTS), FAULTS.values())
        return 1 + int(self.random.expovariate(1 / self.every)), name

    def refuse(self) -> None:
        self._refusals = self.random.randint(1, 2)

    def picture(self) -> NDArray[np.uint8]:
        return np.asarray(self._pictures[self.is_large].copy(), np.uint8)


class ScriptedCapture:
    """One connection, as OpenCV's `VideoCapture` is one."""

    def __init__(self, script: Script, number: int) -> None:
        self._script, self._number = script, number
        self._left, self._fault = script.next_fault()
        self._repeat: NDArray[np.uint8] | None = None
        self._last = script.picture()
        self._is_damaged = False

    def grab(self) -> bool:
        if self._repeat is None and self._left <= 0:
            self._script.faults[self._fault] += 1
            if not self._begin_fault():
                return False
        if self._repeat is not None:
            pause(0.02)
            return True
        return self._is_damaged or self._script.credit.take()

    def _begin_fault(self) -> bool:
        """Whether the connection goes on."""
        script, fault = self._script, self._fault
        if fault == "error":
            raise OSError(5, "Input/output error")
        if fault == "refused":
            script.refuse()
        elif fault in ("stall", "hang"):
            pause(1.2 * STALL if fault == "stall" else HANG)
        elif fault == "frozen":
            self._repeat = self._last
        elif fault == "blank":
            self._repeat = np.zeros_like(self._last)
        elif fault in PASSING:
            self._is_damaged = fault == "damaged frame"
            script.is_large ^= fault == "other size"
            if fault == "late frame":
                pause(STALL / 5)
            self._left, self._fault = script.next_fault()
            return True
        return self._repeat is not None

    def retrieve(self) -> tuple[bool, object]:
        if self._repeat is not None:
            return True, self._repeat.copy()
        if self._is_damaged:
            self._is_damaged = False
            return False, None
        self._last = self._script.picture()
        mark(self._last, self._number, self._script.handed[self._number])
        self._script.handed[self._number] += 1
        self._left -= 1
        return True, self._last

    def get(self, prop: int, /) -> float:
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        pass


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)
