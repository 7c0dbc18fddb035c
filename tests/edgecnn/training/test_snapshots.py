"""Snapshots are the weights of each epoch, also of a run that was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer

from edgecnn.commands.train import describe
from edgecnn.data import load_data
from edgecnn.models import build
from edgecnn.training.fit import fit
from edgecnn.training.snapshots import (
    Snapshots,
    layers_with_kernels,
    read_snapshots,
    snapshot_layers,
    weight_of,
)
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.errors import InputError

LAYERS = ("features.0", "features.4")


class _Kill(Callback):
    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step == 10:  # in the middle of the second epoch
            raise RuntimeError("killed")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    data = load_data("mnist5k")
    run = describe(data, "lenet5", epochs=2, batch=500)
    fit(run, data, out, progress=False, watchers=[Snapshots(out, LAYERS)])
    return out


def test_each_epoch_has_its_own_weights_and_the_last_are_those_of_the_run(whole: Path) -> None:
    found = read_snapshots(whole)
    assert list(found) == [0, 1, 2]
    for name in LAYERS:
        for before, after in ((0, 1), (1, 2)):
            change = (found[after][name] - found[before][name]).norm()
            assert float(change / found[before][name].norm()) > 1e-4
    last = load_tensors(whole / "last.safetensors")
    assert torch.equal(found[2]["features.0"], last["features.0.weight"])
    assert found[2]["features.4"].shape == (16, 6, 5, 5)  # a sparse table, filled up with zeros


def test_the_first_are_those_before_training(whole: Path) -> None:
    torch.manual_seed(0)
    fresh = build("lenet5", num_classes=10, in_channels=1)
    assert torch.equal(read_snapshots(whole)[0]["features.0"], weight_of(fresh, "features.0"))


def test_a_resumed_run_has_the_snapshots_of_an_uninterrupted_one(
    whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cut"
    data = load_data("mnist5k")
    run = describe(data, "lenet5", epochs=2, batch=500)
    with pytest.raises(RuntimeError, match="killed"):
        fit(run, data, out, progress=False, watchers=[Snapshots(out, LAYERS), _Kill()])
    assert list(read_snapshots(out)) == [0, 1]
    fit(run, data, out, resume=True, progress=False, watchers=[Snapshots(out, LAYERS)])
    expected, found = read_snapshots(whole), read_snapshots(out)
    assert list(found) == [0, 1, 2]
    for epoch, tensors in found.items():
        assert all(torch.equal(tensors[name], expected[epoch][name]) for name in LAYERS)


def test_the_first_layer_is_always_kept_and_a_wrong_name_is_answered() -> None:
    with torch.device("meta"):
        network = build("mobilenet_v1", width=0.25)
    assert snapshot_layers(network) == ("features.0.0",)
    assert snapshot_layers(network, ["features.1.0.0"]) == ("features.0.0", "features.1.0.0")
    with pytest.raises(InputError, match=r"did you mean 'features.1.0.0'"):
        snapshot_layers(network, ["features.1.0.1"])


def test_kernels_are_found_in_order_and_nothing_else() -> None:
    with torch.device("meta"):
        network = build("lenet5")
    assert layers_with_kernels(network) == ["features.0", "features.4", "features.8"]


def test_a_run_without_snapshots_has_none(tmp_path: Path) -> None:
    assert read_snapshots(tmp_path) == {}
