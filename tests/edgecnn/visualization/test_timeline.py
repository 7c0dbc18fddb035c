"""The timeline holds every network, and can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from edgecnn.models import ZOO
from edgecnn.visualization.timeline import draw_timeline

Clashes = Callable[[Figure], list[tuple[str, str]]]
TRUTH: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "models" / "ground_truth.json").read_text()
)


@pytest.fixture(scope="module")
def zoo() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            name=name,
            family=row.family,
            year=row.year,
            depth=row.depth,
            parameters=TRUTH["models"][name]["params"],
        )
        for name, row in ZOO.items()
    ]


@pytest.fixture(scope="module")
def timeline(zoo: list[SimpleNamespace]) -> Figure:
    return draw_timeline(zoo)


def place(figure: Figure, words: str) -> tuple[float, float]:
    (found,) = [t for t in figure.axes[0].texts if t.get_text() == words]
    x, y = found.get_position()
    return float(x), float(y)


def test_every_network_and_family_and_year_is_there_once(timeline: Figure) -> None:
    words = [t.get_text() for t in timeline.axes[0].texts]
    for row in ZOO.values():
        assert words.count(row.family) == 1
        assert words.count(f"{row.year}") == 1
    assert [words.count(name) for name in ZOO] == [1] * len(ZOO)
    assert words.count("152 layers, 60.2 M") == 1
    assert words.count("8 layers, 23 k") == 1


def test_no_label_lies_on_another(timeline: Figure, clashes: Clashes) -> None:
    assert clashes(timeline) == []


def test_a_few_networks_can_be_read_too(zoo: list[SimpleNamespace], clashes: Clashes) -> None:
    assert clashes(draw_timeline(zoo[:2])) == []


def test_a_network_stands_at_its_year(timeline: Figure) -> None:
    for name, row in ZOO.items():
        assert place(timeline, name)[0] - place(timeline, f"{row.year}")[0] == pytest.approx(0.14)


def test_families_follow_one_another_by_age(timeline: Figure) -> None:
    heights = {row.family: place(timeline, row.family)[1] for row in ZOO.values()}
    oldest = {f: min(r.year for r in ZOO.values() if r.family == f) for f in heights}
    assert [oldest[f] for f in sorted(heights, key=heights.__getitem__)] == sorted(oldest.values())


def test_the_larger_a_network_the_larger_its_marker(zoo: list[SimpleNamespace]) -> None:
    def area(parameters: int) -> float:
        network = SimpleNamespace(**{**vars(zoo[0]), "parameters": parameters})
        return float(draw_timeline([network]).axes[0].collections[0].get_sizes()[0])

    assert area(1_000) < area(1_000_000) < area(100_000_000)


def test_years_without_a_network_are_marked(timeline: Figure) -> None:
    words = [t.get_text() for t in timeline.axes[0].texts]
    assert words.count("//") == 2  # 1979 to 1998 to 2012
