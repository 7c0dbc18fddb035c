"""`models` prints what the networks cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    assert "--draw does not go with a filter" in refused("models", "filter:", "--draw", "x.png")


def test_the_zoo_is_drawn_as_a_timeline_beside_its_json(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecnn.models.ZOO", {name: ZOO[name] for name in ("lenet5", "alexnet")})
    picture = tmp_path / "timeline.png"
    assert run(["models", "--draw", str(picture), "--json", "-"]) == 0
    captured = capfd.readouterr()
    assert [row["name"] for row in json.loads(captured.out)] == ["lenet5", "alexnet"]
    assert f"timeline in {picture}" in captured.err
    with Image.open(picture) as opened:
        assert len(np.unique(np.asarray(opened))) > 50


def test_a_network_is_drawn_at_its_width_and_resolution(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "volumes.svg"
    scaled = ["--width", "0.5", "--resolution", "160", "--draw", str(picture), "--json", "-"]
    assert run(["models", "mobilenet_v1", *scaled]) == 0
    assert json.loads(capfd.readouterr().out)["resolution"] == [160, 160]
    drawn = picture.read_text(encoding="utf-8")
    assert "<!-- 512x5x5 -->" in drawn
    assert "<!-- mobilenet_v1, width 0.5, 160x160: 1,331,592 parameters, 76.5 M MACs -->" in drawn


def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_printed(
    refused: OneLine, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "ends in .png or .svg" in refused("models", "--draw", tmp_path / "a.pdf")
    assert "no folder" in refused("models", "lenet5", "--draw", tmp_path / "nowhere" / "a.png")
    assert "is a folder" in refused("models", "lenet5", "--draw", _folder(tmp_path / "a.png"))
    assert capfd.readouterr().out == ""


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
