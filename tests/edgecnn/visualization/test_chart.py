"""The chart's figures are those of the runs, as the rest of the project counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from matplotlib.figure import Figure

from edgecnn.models.cost import cost
from edgecnn.training.run import read_run, write_run
from edgecnn.visualization.chart import Point, draw_chart, front, read_points
from edgecnn_runtime.errors import InputError

SOME = Point("a", "mobilenet_v1 0.25 at 48", "terrain", 0.9, 1_900_000, 213_843)


def test_a_run_is_where_its_cost_and_its_accuracy_are(trained_run: Path) -> None:
    run = read_run(trained_run)
    (point,) = read_points([str(trained_run)])
    size = cost(run.network(), (3, 48, 48))
    assert (point.macs, point.parameters) == (size.macs, size.parameters)
    assert point.top1 == run.metrics["top1"]
    assert (point.name, point.model) == ("terrain", "mobilenet_v1 0.25 at 48")


def test_a_bundle_stands_where_its_run_stands(trained_run: Path, trained_bundle: Path) -> None:
    run, bundle = read_points([str(trained_run), str(trained_bundle)])
    assert bundle == replace(run, name="terrain.bundle")


def test_the_bubbles_are_at_the_figures_and_as_large_as_the_parameters() -> None:
    points = [SOME, replace(SOME, name="b", top1=0.95, macs=9_000_000, parameters=4 * 213_843)]
    axes = draw_chart(points).draw().axes[0]
    bubbles = axes.collections[0]
    assert bubbles.get_offsets().tolist() == [[1.9, 0.9], [9.0, 0.95]]  # type: ignore[attr-defined]
    small, large = bubbles.get_sizes()  # type: ignore[attr-defined]
    assert large == pytest.approx(4 * small)


def test_the_line_joins_what_no_other_beats() -> None:
    cheap = replace(SOME, name="cheap", top1=0.8, macs=10)
    beaten = replace(SOME, name="beaten", top1=0.7, macs=20)
    equal = replace(SOME, name="equal", top1=0.8, macs=30)
    best = replace(SOME, name="best", top1=0.9, macs=40)
    assert [p.name for p in front([best, beaten, equal, cheap])] == ["cheap", "best"]


def test_names_of_bubbles_at_one_place_do_not_lie_on_one_another() -> None:
    points = [replace(SOME, name=f"run number {i}", top1=0.9 + i * 1e-4) for i in range(5)]
    figure: Figure = draw_chart(points).draw()
    figure.draw_without_rendering()
    named = [t for t in figure.axes[0].texts if t.get_text().startswith("run")]
    boxes = [t.get_window_extent() for t in named]
    assert len(boxes) == 5
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert not (a.x0 < b.x1 - 1 and b.x0 < a.x1 - 1 and a.y0 < b.y1 - 1 and b.y0 < a.y1 - 1)


def _other(trained_run: Path, folder: Path, **changed: object) -> str:
    folder.mkdir()
    write_run(folder, msgspec.structs.replace(read_run(trained_run), **changed))
    return str(folder)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda run, folder: _other(run, folder, data="mnist5k"), "on one data set"),
        (lambda run, folder: _other(run, folder, metrics={}), "has no accuracy"),
        (lambda run, folder: str(folder), "neither a run folder nor a bundle"),
    ],
)
def test_what_has_no_place_on_the_chart(
    make: Callable[[Path, Path], str], says: str, trained_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=says):
        read_points([str(trained_run), make(trained_run, tmp_path / "other")])
