"""What is said of the images before training starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import StringIO

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from edgecnn.commands.data_report import report
from edgecnn.data import DataSet, load_data
from edgecnn.data.balance import Count, class_counts, warnings_of


@dataclass(frozen=True)
class Labels:
    """A split of which only the labels are asked for."""

    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
        raise AssertionError("the report reads no image")


def data_of(train: list[int], val: list[int], broken: tuple[str, ...] = ()) -> DataSet:
    splits = [Labels(np.repeat(np.arange(len(counts)), counts)) for counts in (train, val)]
    labels = tuple(f"class {i}" for i in range(len(train)))
    return replace(
        load_data("terrain"), labels=labels, train=splits[0], val=splits[1], broken=broken
    )


def printed(data: DataSet) -> str:
    out = StringIO()
    report(data, Console(file=out, width=120))
    return out.getvalue()


def test_even_classes_take_one_line() -> None:
    assert printed(load_data("terrain")) == "each class: 300 to train, 100 held out\n"


def test_uneven_classes_are_a_table_with_a_warning() -> None:
    said = printed(data_of([900, 40, 300], [100, 10, 33], ("x.jpg is empty",)))
    rows = [line.split() for line in said.splitlines()]
    assert ["class", "0", "900", "100"] in rows
    assert ["class", "1", "40", "10"] in rows
    assert "WARNING: 'class 0' has 900 images to train and 'class 1' 40" in said
    assert "left out: x.jpg is empty" in said


def test_somewhat_uneven_classes_are_no_reason_to_warn() -> None:
    assert warnings_of([Count("a", 100, 20), Count("b", 30, 20)]) == []


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([Count("a", 9, 20), Count("b", 0, 20)], "no image to train of 'b'"),
        ([Count("a", 9, 40), Count("b", 9, 0)], "no held-out image of 'b': nothing measures it"),
        ([Count("a", 9, 2), Count("b", 9, 2)], "4 held-out images: each is 25 points of top-1"),
    ],
)
def test_what_spoils_the_figures_is_said(counts: list[Count], says: str) -> None:
    assert any(says in said for said in warnings_of(counts))


def test_of_ten_thousand_classes_the_rarest_and_the_most_frequent_are_shown() -> None:
    counts = (np.arange(10_000) % 97 + 1).tolist()
    data = data_of(counts, [1] * 10_000)
    assert len(class_counts(data)) == 10_000
    lines = printed(data).splitlines()
    assert len(lines) < 30
    assert any("9980 more" in line for line in lines)
