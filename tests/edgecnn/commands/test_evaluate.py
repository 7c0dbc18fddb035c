"""`evaluate --activity` tells how sparse and redundant the layers of a trained run are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edgecnn.data import load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import prepared
from edgecnn.training.run import load_network, read_run
from edgecnn_runtime.cli import run


def test_the_activity_of_a_run_on_its_held_out_images(
    trained_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(trained_run), "terrain", "--activity", "--json", "-"]) == 0
    captured = capfd.readouterr()
    result = json.loads(captured.out)
    assert result["top1"] > 0.5
    layers = {layer["name"]: layer for layer in result["activity"]}
    assert len(layers) == 13 * 6 + 3 + 2  # convolutions, batch norms, ReLU6; pooling, classifier

    stem = layers["features.0.2"]
    assert (stem["kind"], stem["units"]) == ("ReLU6", 8 * 24 * 24)
    assert stem["redundancy"] == pytest.approx(8 * 24 * 24 / (3 * 48 * 48))
    description = read_run(trained_run)
    frames = list(some_frames(load_data("terrain").val))
    with torch.no_grad():
        first = load_network(trained_run, description).get_submodule("features.0")
        silent = (first(prepared(frames, description.input)) == 0).float().mean().item()
    assert 0.1 < silent < 0.9
    assert stem["sparsity"] == pytest.approx(silent, abs=1e-4)
    assert layers["features.0.0"]["sparsity"] < 0.01  # before the ReLU

    assert "sparsity" in captured.err  # the table made way for the JSON
    assert "features.0.2" in captured.err


def test_without_the_option_nothing_is_said_of_layers(
    trained_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(trained_run), "terrain", "--json", "-"]) == 0
    captured = capfd.readouterr()
    assert "activity" not in json.loads(captured.out)
    assert "sparsity" not in captured.err


def test_the_layers_of_a_bundle_and_of_a_graph_cannot_be_looked_into(
    trained_bundle: Path, refused: Callable[..., str]
) -> None:
    for target in (trained_bundle, trained_bundle / "model.fp32.onnx"):
        line = refused("evaluate", target, "terrain", "--activity")
        assert f"{target} is none; name the run" in line
