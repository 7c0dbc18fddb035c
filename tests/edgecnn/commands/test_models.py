"""`models` prints what the networks cost."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from edgecnn.filters import FILTERS
from edgecnn.models import ZOO
from edgecnn_runtime.cli import run

OneLine = Callable[..., str]

FIELDS = {"name", "family", "year", "depth", "parameters", "macs", "resolution", "receptive_field"}


def test_the_zoo_is_listed_with_its_figures(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {name: ZOO[name] for name in ("lenet5", "mobilenet_v1", "squeezenet1_1")}
    monkeypatch.setattr("edgecnn.models.ZOO", some)  # the others are tests/edgecnn/models'
    assert run(["models", "--json", "-"]) == 0
    captured = capfd.readouterr()
    rows = {row["name"]: row for row in json.loads(captured.out)}
    assert rows["mobilenet_v1"].keys() >= FIELDS | {"paper"}
    assert rows["mobilenet_v1"]["parameters"] == 4_231_976
    assert rows["lenet5"]["receptive_field"] == 32
    assert [row["name"] for row in rows.values()] == list(some)
    assert rows["squeezenet1_1"]["family"] == "SqueezeNet"
    assert "mobilenet_v1" in captured.err  # people's output makes way for the JSON


def test_one_network_is_shown_layer_by_layer(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "mobilenet_v1", "--width", "0.5", "--resolution", "160"]) == 0
    out = capfd.readouterr().out
    assert "512x5x5" in out
    assert "1,331,592" in out
    assert "315" in out  # the receptive field of the last feature map


def test_the_filters_are_listed_with_their_settings(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "filter:", "--json", "-"]) == 0
    captured = capfd.readouterr()
    rows = {row["name"]: row for row in json.loads(captured.out)}
    assert list(rows) == [f"filter:{name}" for name in FILTERS]
    assert rows["filter:gabor"]["settings"] == {"directions": 8, "frequency": 0.15, "tau": 3.0}
    assert rows["filter:gaussian"]["help"] == "Gaussian of 3 pixels"
    assert "directions=8 frequency=0.15 tau=3" in captured.err
    assert "--set tau=5" in captured.err


def test_one_filter_is_shown_alone_and_an_unknown_one_refused(
    capfd: pytest.CaptureFixture[str], refused: OneLine
) -> None:
    assert run(["models", "filter:denoise"]) == 0
    out = capfd.readouterr().out
    assert "noise=0.04" in out
    assert "filter:sobel " not in out
    assert "did you mean 'gabor'" in refused("models", "filter:gabr")
