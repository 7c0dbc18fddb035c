"""What a soak holds its records to, and what it measures of its own process."""

from __future__ import annotations

import csv
import os
import random
import resource
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from statistics import median

import msgspec
from soak_camera import Credit, Script, marked

from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.sink import UndeliveredError, Writer

MOST_SAID = 5  # of what is wrong


@dataclass
class Faulty:
    """A writer that does what another one does, tells the cameras, and fails now and then.

    Args:
        fails: the share of results of which it says, after all, that they were not delivered.
    """

    writer: Writer
    credit: Credit
    number: int
    fails: float = 0.0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def write(self, result: Result) -> None:
        try:
            self.writer.write(result)
        finally:
            self.credit.recorded(self.number)
        if self.fails and self.random.random() < self.fails:
            raise UndeliveredError("a fault of the script")

    def close(self) -> None:
        self.writer.close()


class Breaks:
    """A hook with a mistake in it."""

    def __init__(self, after: int) -> None:
        self._left = after

    def write(self, result: Result) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("a mistake of the user's")

    def close(self) -> None: ...


class Frames:
    """Checks by their pixels that frames are whole, each one once, in order, and none left out."""

    def __init__(self, scripts: dict[str, Script]) -> None:
        self.checked = 0
        self.wrong: list[str] = []
        self._scripts = scripts
        self._last = dict.fromkeys(scripts, (-1, -1))

    def write(self, result: Result) -> None:
        self.checked += 1
        code, (connection, serial) = marked(result.frame), self._last[result.source]
        if code is None:
            self.say(f"{result.source} {result.index} is half a frame, a blank or a repeat")
            return
        if code != (connection, serial + 1):
            handed = self._scripts[result.source].handed[connection] if connection >= 0 else 0
            if code != (connection + 1, 0) or serial + 1 != handed:
                self.say(f"{result.source} {result.index} is {code} after {connection, serial}")
        self._last[result.source] = code

    def say(self, what: str) -> None:
        if len(self.wrong) < MOST_SAID:
            self.wrong.append(what)

    def close(self) -> None: ...


class Ledger:
    """Reads the files of a rotated series as they are finished, and removes them.

    Attributes:
        counts: records of each source.
        wrong: what is out of order, missing or there twice.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self.counts: Counter[str] = Counter()
        self.files = 0
        self.wrong: list[str] = []
        self._folder, self._suffix = folder, suffix
        self._read = _json_records if suffix == ".jsonl" else _csv_records

    def check(self, *, all_of_them: bool = False) -> None:
        """Read every finished file; the newest is still being written."""
        files = sorted(self._folder.glob(f"*{self._suffix}"))
        for path in files if all_of_them else files[:-1]:
            self.files += 1
            for source, index in self._read(path):
                if index != self.counts[source] and len(self.wrong) < MOST_SAID:
                    self.wrong.append(f"{path.name}: {source} {index}, not {self.counts[source]}")
                self.counts[source] = index + 1
            path.unlink()


class _Record(msgspec.Struct):
    source: str
    index: int


def _json_records(path: Path) -> Iterator[tuple[str, int]]:
    decoder = msgspec.json.Decoder(_Record)
    with path.open("rb") as lines:
        for line in lines:
            record = decoder.decode(line)
            yield record.source, record.index


def _csv_records(path: Path) -> Iterator[tuple[str, int]]:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["source"], int(row["index"])


@dataclass(frozen=True)
class Holding:
    """What the process holds at one moment, or the median of many."""

    resident_mb: float
    descriptors: float
    threads: float

    @classmethod
    def now(cls) -> Holding:
        """Of this process, on Linux."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            pages * resource.getpagesize() / 1e6,
            len(os.listdir("/proc/self/fd")) - 1,  # noqa: PTH208  # less that of the listing
            threading.active_count(),
        )

    @classmethod
    def median(cls, of: Sequence[Holding]) -> Holding:
        return cls(*(round(median(values), 2) for values in zip(*map(astuple, of), strict=True)))
