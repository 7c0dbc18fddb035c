"""Photographs for training, from a source into class folders."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.camera.source import Captured
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.stream.kept_frames import encode_jpeg, plain_name
from edgecnn_runtime.stream.similar import LEVELS, thumbnail

REMEMBERED = 200  # kept photographs of a class that a new one is compared with
QUALITY = 95
APART = 2.0  # seconds between what is trained on and what is held out
LEAST = 5  # photographs of a class, below which none is held out


@dataclass(frozen=True)
class ClassState:
    """A class, and how many photographs of it this session has kept."""

    name: str
    kept: int


@dataclass(frozen=True)
class CaptureState:
    """What the page and the terminal show. `current` is None while it pauses."""

    source: str
    current: str | None
    classes: list[ClassState]
    skipped: int


@dataclass(frozen=True)
class ClassCount:
    """Photographs of a class that this session kept. `apart` are in neither of the two sets."""

    name: str
    train: int
    val: int
    apart: int


@dataclass(frozen=True)
class CaptureReport:
    """A whole session. `skipped` are near-duplicates; `frames` are all that the source gave."""

    out: str
    source: str
    frames: int
    skipped: int
    classes: list[ClassCount]


@dataclass(frozen=True)
class _Kept:
    path: Path
    seconds: float


class Collector:
    """Keeps frames as photographs of the class that is chosen at the moment.

    A frame that shows nearly what one of the last `REMEMBERED` of its class shows is skipped. All
    go to `OUT/train/CLASS`; `finish` moves the last ones of each class to `OUT/val/CLASS`, and
    those of the `APART` seconds before them to `OUT/apart/CLASS`, so that what is held out was
    never the next frame of what was trained on.

    Args:
        classes: names of the folders; must be fit for that.
        every: least seconds between two photographs.
        levels: see `similar.LEVELS`.
        val: share of each class to hold out, by time.

    Raises:
        InputError: a class that cannot be a folder, or none.
        OSError: the folders cannot be made; from `offer`, that the disk is full.
    """

    def __init__(
        self,
        out: Path,
        classes: Sequence[str],
        *,
        source: str,
        every: float = 0.5,
        levels: float = LEVELS,
        val: float = 0.2,
    ) -> None:
        _check(classes)
        self._out, self._source = out, source
        self._classes = list(classes)
        self._every, self._levels, self._val = every, levels, val
        self._kept: dict[str, list[_Kept]] = {name: [] for name in classes}
        self._seen: dict[str, deque[NDArray[np.float32]]] = {
            name: deque(maxlen=REMEMBERED) for name in classes
        }
        self._current: str | None = None
        self._last: float | None = None
        self._frames = self._skipped = 0
        for name in classes:
            (out / "train" / name).mkdir(parents=True, exist_ok=True)

    def choose(self, name: str | None) -> None:
        """Switch to a class, or pause. From any thread.

        Raises:
            InputError: there is no such class.
        """
        if name is not None and name not in self._kept:
            raise unknown_name("class", name, self._classes)
        self._current = name

    def offer(self, captured: Captured, seconds: float) -> Path | None:
        """Keep a frame if it is time for one and it shows something new.

        Args:
            seconds: when it was captured, on any steady clock.
        """
        self._frames += 1
        name = self._current
        if name is None or (self._last is not None and seconds - self._last < self._every):
            return None
        small = thumbnail(captured.frame)
        if self._is_seen(name, small):
            self._skipped += 1
            return None
        utc = captured.utc.strftime("%Y%m%dT%H%M%S.%f")[:-3]
        file = f"{utc}Z-{plain_name(self._source)}-{captured.index}.jpg"
        path = self._out / "train" / name / file
        atomic_write(path, encode_jpeg(captured.frame, QUALITY))
        self._seen[name].append(small)
        self._kept[name].append(_Kept(path, seconds))
        self._last = seconds
        return path

    def _is_seen(self, name: str, small: NDArray[np.float32]) -> bool:
        seen = self._seen[name]
        if not seen:
            return False
        differences = np.abs(np.stack(seen) - small).mean(axis=(1, 2, 3))
        return bool(differences.min() < self._levels)

    def _move(self, kept: Sequence[_Kept], to: str, name: str) -> None:
        folder = self._out / to / name
        if kept:
            folder.mkdir(parents=True, exist_ok=True)
        for one in kept:
            one.path.replace(folder / one.path.name)

    def state(self) -> CaptureState:
        """Where the session stands. From any thread."""
        classes = [ClassState(name, len(kept)) for name, kept in self._kept.items()]
        return CaptureState(self._source, self._current, classes, self._skipped)

    def finish(self) -> CaptureReport:
        """Hold out the last photographs of each class, and say what there is."""
        classes = []
        for name, kept in self._kept.items():
            train, val = split_by_time([k.seconds for k in kept], self._val)
            self._move(kept[train:val], "apart", name)
            self._move(kept[val:], "val", name)
            classes.append(ClassCount(name, train, len(kept) - val, val - train))
        return CaptureReport(str(self._out), self._source, self._frames, self._skipped, classes)


def split_by_time(seconds: Sequence[float], share: float) -> tuple[int, int]:
    """Where training ends and where what is held out, about `share`, begins.

    The cut is where most time lies between two neighbours, within a tenth of all photographs from
    where the share would have it: between two visits, if there were several. What lies less than
    `APART` seconds before it belongs to neither, unless that would leave too little to train on.
    """
    count = len(seconds)
    if count < LEAST or share <= 0:
        return count, count
    wanted = min(count - 1, max(1, round(count * (1 - share))))
    reach = max(1, count // 10)
    cuts = range(max(1, wanted - reach), min(count - 1, wanted + reach) + 1)
    cut = max(cuts, key=lambda cut: (seconds[cut] - seconds[cut - 1], -abs(cut - wanted)))
    train = sum(s <= seconds[cut] - APART for s in seconds[:cut])
    return max(train, min(cut, (count + 1) // 2)), cut


def _check(classes: Sequence[str]) -> None:
    if not classes:
        raise InputError("no class is named; expected --classes apple,pear")
    for name in classes:
        if (
            not re.fullmatch(r"[^/\\\x00-\x1f]+", name)
            or name.startswith(".")
            or name != name.strip()
        ):
            raise InputError(f"{name!r} cannot be the name of a class, which is a folder's")
    if len(set(classes)) < len(classes):
        raise InputError(f"a class is named twice in {','.join(classes)}")
