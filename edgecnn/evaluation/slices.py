"""Where a classifier is weak: top-1 for the dark pictures, the small ones, those of one camera."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgecnn.evaluation.intervals import Interval, wilson
from edgecnn_runtime.errors import InputError

Frame = NDArray[np.uint8]

SEEN = ("brightness", "size")  # read off the pictures themselves
MOST = 50  # slices of one attribute
UNNAMED = "not in the file"


@dataclass(frozen=True)
class Slice:
    """The images that have something in common.

    Attributes:
        attribute: `brightness`, `size`, or a column of a CSV file.
        interval: of top-1, 95%, Wilson's.
        worse: whether the whole interval lies below the top-1 of all images.
    """

    attribute: str
    name: str
    images: int
    top1: float
    interval: Interval
    worse: bool


class Looks:
    """Reads off frames as they go by: the mean grey level, 0 to 255, and the shorter side."""

    def __init__(self) -> None:
        self.brightness: list[int] = []
        self.size: list[int] = []

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self.brightness.append(round(float(frame[::4, ::4].mean())))
            self.size.append(min(frame.shape[:2]))
            yield frame


def check_slices(wanted: Sequence[str]) -> None:
    """Find out whether slices can be made, before any work is done for them.

    Raises:
        InputError: neither one of `SEEN` nor a CSV file that is there.
    """
    for name in wanted:
        if name in SEEN:
            continue
        if not name.endswith(".csv"):
            raise InputError(
                f"--slice {name}; expected {', '.join(SEEN)}, or a file .csv with the columns file"
                " and one or more of your own"
            )
        _read(Path(name))


def slices(
    wanted: Sequence[str], looks: Looks, files: Sequence[str], right: NDArray[np.bool_]
) -> list[Slice]:
    """Top-1 of each slice, in the order of their attributes.

    Args:
        wanted: `brightness` and `size` in thirds, or CSV files: `file` is a path as the folder has
            it, or a file's name alone where that tells it; each further column is an attribute.
        files: of the images, in their order.
        right: (N,), whether each is answered rightly.

    Raises:
        InputError: a CSV file that names none of these images, or has too many values.
    """
    found: list[Slice] = []
    for name in wanted:
        if name == "brightness":
            grouped = {name: _thirds(looks.brightness, "", ("dark", "middling", "bright"))}
        elif name == "size":
            grouped = {name: _thirds(looks.size, " pixels", ("small", "middling", "large"))}
        else:
            grouped = _from_csv(Path(name), files)
        for attribute, values in grouped.items():
            found += _count(attribute, values, right)
    return found


def _count(attribute: str, values: Sequence[str], right: NDArray[np.bool_]) -> Iterator[Slice]:
    every, overall = np.array(values), right.mean()
    for value in dict.fromkeys(sorted(values, key=_order)):
        inside = right[every == value]
        interval = wilson(int(inside.sum()), len(inside))
        yield Slice(
            attribute=attribute,
            name=value.partition("\0")[2] or value,
            images=len(inside),
            top1=float(inside.mean()),
            interval=interval,
            worse=bool(interval[1] < overall),
        )


def _order(value: str) -> tuple[bool, str]:
    return value == UNNAMED, value


def _thirds(values: Sequence[int], unit: str, names: tuple[str, str, str]) -> list[str]:
    """The name of each value's third, or of the value where there are no more than three."""
    numbers = np.array(values)
    distinct = np.unique(numbers)
    if len(distinct) <= 3:
        # The number in front sorts them, and is not shown.
        return [f"{np.searchsorted(distinct, n)}\0{n}{unit}" for n in values]
    first, second = np.quantile(numbers, [1 / 3, 2 / 3])
    third = (numbers > first).astype(int) + (numbers > second)
    spans = {t: (numbers[third == t].min(), numbers[third == t].max()) for t in set(third.tolist())}
    return [f"{t}\0{names[t]}: {_span(spans[t])}{unit}" for t in third.tolist()]


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _from_csv(path: Path, files: Sequence[str]) -> dict[str, list[str]]:
    columns, rows = _read(path)
    alone: dict[str, list[str]] = {}
    for file in files:
        alone.setdefault(PurePosixPath(file).name, []).append(file)
    by_file: dict[str, dict[str, str]] = {}
    for row in rows:
        file = str(PurePosixPath(row["file"].replace("\\", "/")))
        same = alone.get(file, [])
        by_file[same[0] if len(same) == 1 else file] = row
    if not any(file in by_file for file in files):
        example = files[0] if files else "none: this data set has no files"
        raise InputError(f"{path} names none of these images; expected in `file`: {example}")
    grouped = {}
    for column in columns:
        values = [by_file[f][column] if f in by_file else UNNAMED for f in files]
        if len(set(values)) > MOST:
            raise InputError(
                f"{path}: column {column!r} has {len(set(values))} values; expected at most {MOST},"
                " so that each has images enough: group them first"
            )
        grouped[column] = values
    return grouped


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            header, rows = list(reader.fieldnames or []), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--slice {path} cannot be read: {error}") from error
    columns = [name for name in header if name and name != "file"]
    if "file" not in header or not columns:
        got = ", ".join(header) or "no header"
        raise InputError(f"--slice {path} has {got}; expected the columns file and your own")
    return columns, rows
