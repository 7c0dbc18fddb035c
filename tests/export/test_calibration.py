"""Ranges: what each method keeps and cuts of the values that were seen."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecnn_export.calibration import (
    BINS,
    METHODS,
    Values,
    by_entropy,
    by_minmax,
    by_percentile,
    collect,
    ranges,
)
from edgecnn_runtime.errors import CheckFailedError

Floats = NDArray[np.float32]


def seen(x: Floats, parts: int = 7) -> Values:
    values = Values()
    for part in np.array_split(x, parts):
        values.add(part)
    return values


@pytest.fixture
def normal() -> Floats:
    return np.random.default_rng(0).normal(size=200_000).astype(np.float32)


def test_the_histogram_counts_every_value_however_far_later_ones_reach(normal: Floats) -> None:
    x = np.concatenate([normal / 1000, normal, np.zeros(500, np.float32), [40.0]]).astype("f4")
    values = seen(x, parts=40)
    assert values.counts.sum() + values.zeros == len(x)
    assert values.zeros == 500
    assert 40 <= values.top < 80
    expected, _ = np.histogram(np.abs(x[x != 0]), BINS, (0, values.top))
    moved = np.abs(values.counts - expected).sum() / len(x)
    assert moved < 0.001  # a value at the edge of two bins falls to either


def test_minmax_cuts_nothing(normal: Floats) -> None:
    assert by_minmax(seen(normal), 127) == np.abs(normal).max()


def test_percentile_cuts_one_value_in_ten_thousand(normal: Floats) -> None:
    values = seen(normal)
    bin_width = values.top / BINS
    exact = np.quantile(np.abs(normal), 0.9999)
    assert by_percentile(values, 127) == pytest.approx(exact, abs=2 * bin_width)


def test_entropy_cuts_an_outlier_and_rounds_the_rest_better(normal: Floats) -> None:
    x = np.append(normal, np.float32(60))
    chosen = by_entropy(seen(x), 127)
    assert 3.5 < chosen < 6

    def squared_error(largest: float) -> float:
        step = largest / 127
        return float(((np.clip(np.round(normal / step), -127, 127) * step - normal) ** 2).mean())

    assert squared_error(chosen) < 0.3 * squared_error(60)


def test_entropy_keeps_what_is_spread_evenly() -> None:
    x = np.random.default_rng(0).uniform(-2, 2, 200_000).astype(np.float32)
    assert by_entropy(seen(x), 127) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_the_range_of_a_relu_begins_at_zero_and_of_zeros_is_empty(
    method: str, normal: Floats
) -> None:
    found = {"relu": seen(normal.clip(0)), "nothing": seen(np.zeros(100, np.float32))}
    chosen = ranges(found, method, 255)
    assert chosen["relu"][0] == 0
    assert 3 < chosen["relu"][1] <= normal.max()
    assert chosen["nothing"] == (0, 0)


def test_a_value_that_is_not_a_number_ends_the_calibration() -> None:
    """frames -> float -> logarithm: of a black pixel there is none."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", 2, 2, 1])
    out = helper.make_tensor_value_info("log", TensorProto.FLOAT, ["n", 2, 2, 1])
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "one"], ["shifted"]),
        helper.make_node("Log", ["shifted"], ["log"]),
    ]
    one = numpy_helper.from_array(np.float32(1), "one")
    graph = helper.make_graph(nodes, "log", [frames], [out], [one])
    opset = [helper.make_opsetid("", 17)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=8)
    with pytest.raises(CheckFailedError, match="log is not a number"):
        collect(model, ["log"], np.zeros((1, 2, 2, 1), np.uint8))
