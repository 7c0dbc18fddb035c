"""The grid, and what it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn.data import load_data
from edgecnn.training.run import Run
from edgecnn_export.sweep.make import counts, run_of
from edgecnn_export.sweep.plan import Plan, Point, grid, precisions_for
from edgecnn_runtime.errors import InputError

TRUTH = json.loads(
    (Path(__file__).parents[2] / "edgecnn" / "models" / "ground_truth.json").read_text()
)["mobilenet_v1_grid"]


def with_a_thousand_classes(point: Point) -> Run:
    import msgspec

    plan = Plan(model="mobilenet_v1", data="terrain", points=(point,), precisions=("fp32",))
    run = run_of(plan, point, load_data("terrain"))
    return msgspec.structs.replace(run, labels=tuple(map(str, range(1000))))


def test_the_papers_grid_is_the_default_and_has_its_counts() -> None:
    points = grid("mobilenet_v1", None, None)
    found = {
        (p.width, p.height): counts(with_a_thousand_classes(p)) for p in points if p.height == 224
    }
    assert {w: c.parameters for (w, _), c in found.items()} == {
        float(width): count for width, count in TRUTH["params"].items()
    }
    assert [(p.width, p.height) for p in points] == [
        (v["width"], v["resolution"]) for v in TRUTH["variants"]
    ]


@pytest.mark.parametrize("variant", TRUTH["variants"], ids=str)
def test_a_variant_has_the_multiply_accumulates_of_the_truth(variant: dict[str, float]) -> None:
    side = int(variant["resolution"])
    counted = counts(with_a_thousand_classes(Point(variant["width"], side, side)))
    assert round(counted.macs / 1e6, 1) == variant["exact_macs_millions"]


def test_a_network_without_a_width_has_its_own_resolution() -> None:
    assert grid("squeezenet1_1", None, None) == (Point(1.0, 224, 224),)
    assert [p.name for p in grid("squeezenet1_1", None, "64,48x96")] == ["w1-r64", "w1-r48x96"]


@pytest.mark.parametrize(
    ("model", "widths", "resolutions", "message"),
    [
        ("mobilenet_v1", "wide", None, "expected numbers such as 0.25,0.5,1"),
        ("mobilenet_v1", "0", None, "expected numbers above 0 and at most 4"),
        ("mobilenet_v1", None, "16", "needs at least 32"),
        ("squeezenet1_1", "0.5", None, "no width multiplier"),
        ("mobilnet_v1", None, None, "did you mean 'mobilenet_v1'"),
    ],
)
def test_what_the_network_does_not_take_is_said(
    model: str, widths: str | None, resolutions: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        grid(model, widths, resolutions)


def test_precisions_are_those_that_pay_where_they_run() -> None:
    assert precisions_for(None, "") == ("fp32", "int8-cpu")
    assert precisions_for(None, "sm86") == ("fp32", "fp16", "int8")
    assert precisions_for("int8", "sm86") == ("int8",)
