"""Training leaves a run folder that says how it was made, and goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from edgecnn.commands.train import describe
from edgecnn.data import load_data
from edgecnn.training import fit as fitting
from edgecnn.training.augment import augment, random_crop
from edgecnn.training.checkpoint import SafetensorsIO
from edgecnn.training.inputs import EpochSampler, TrainingSet, input_for
from edgecnn.training.recipe import Augment, load_recipe, recipes
from edgecnn.training.run import load_network, read_run
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.errors import InputError


def test_a_run_folder_says_how_it_was_made(trained_run: Path) -> None:
    run = read_run(trained_run)
    assert (run.model, run.width, run.data) == ("mobilenet_v1", 0.25, "terrain")
    assert run.made["versions"]["torch"]
    assert run.recipe.epochs == 5
    held_out = json.loads((trained_run / "split.json").read_text())
    assert len(held_out["val_crops"]) == 300
    assert len((trained_run / "metrics.csv").read_text().splitlines()) > 5
    assert list((trained_run / "tensorboard").glob("events*"))
    best = json.loads((trained_run / "best.json").read_text())
    assert best["top1"] == run.metrics["top1"] > 0.5


def test_best_and_last_weights_load_into_the_network(trained_run: Path) -> None:
    run = read_run(trained_run)
    for which in ("best", "last"):
        network = load_network(trained_run, run, which)
        assert not network.training


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    data = load_data("mnist5k")
    run = describe(data, "lenet5", epochs=3, batch=500)
    fitting.fit(run, data, tmp_path / "whole", progress=False)

    class Kill(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, *_: object
        ) -> None:
            if trainer.global_step == 12:  # in the middle of the second epoch
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fitting.fit(run, data, tmp_path / "cut", progress=False, watchers=[Kill()])
    fitting.fit(run, data, tmp_path / "cut", resume=True, progress=False)
    whole = load_tensors(tmp_path / "whole" / "last.safetensors")
    resumed = load_tensors(tmp_path / "cut" / "last.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_to_resume_another_recipe_is_refused(trained_run: Path) -> None:
    data = load_data("terrain")
    run = describe(data, "mobilenet_v1", width=0.25, resolution="48", epochs=9)
    with pytest.raises(InputError, match="another recipe"):
        fitting.fit(run, data, trained_run, resume=True)


def test_a_run_is_not_overwritten_unasked(trained_run: Path) -> None:
    data = load_data("terrain")
    run = describe(data, "mobilenet_v1", width=0.25, resolution="48", epochs=5)
    with pytest.raises(InputError, match="--resume"):
        fitting.fit(run, data, trained_run)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoint = {
        "epoch": 3,
        "state": {0: {"momentum": torch.arange(4.0)}, "shared": torch.ones(2)},
        "pair": (1, None, "x"),
        "list": [1.5, {"nested": torch.tensor(7)}],
    }
    SafetensorsIO().save_checkpoint(checkpoint, tmp_path / "c.ckpt")
    back = SafetensorsIO().load_checkpoint(tmp_path / "c.ckpt")
    assert back["epoch"] == 3
    assert back["pair"] == (1, None, "x")
    assert torch.equal(back["state"][0]["momentum"], torch.arange(4.0))
    assert back["list"][1]["nested"] == 7


def test_an_epoch_is_a_permutation_keyed_by_seed_and_epoch() -> None:
    sampler, same = EpochSampler(50, seed=1), EpochSampler(50, seed=1)
    first = list(sampler)
    assert sorted(i for _, i in first) == list(range(50))
    assert first == list(same)
    sampler.set_epoch(1)
    assert [i for _, i in sampler] != [i for _, i in first]


def test_a_training_image_depends_on_seed_epoch_and_index_alone() -> None:
    data = load_data("terrain")
    spec = input_for(data, 64, 64, 3)
    images = TrainingSet(data.train, spec, Augment(), seed=5)
    assert np.array_equal(images[2, 7][0], images[2, 7][0])
    assert not np.array_equal(images[2, 7][0], images[3, 7][0])


def test_random_crops_have_the_area_and_aspect_asked_for() -> None:
    rng = np.random.default_rng(0)
    frame = np.zeros((300, 400, 3), np.uint8)
    settings = Augment(crop_scale=(0.25, 0.5), crop_aspect=(0.8, 1.25))
    for _ in range(50):
        height, width = random_crop(frame, settings, rng).shape[:2]
        assert 0.24 < height * width / 120_000 < 0.51
        assert 0.78 < width / height < 1.28


def test_right_angles_and_mirrors_only_move_pixels() -> None:
    x = torch.rand(16, 3, 8, 8) * 255
    generator = torch.Generator().manual_seed(0)
    out = augment(x, Augment(hflip=True, vflip=True, rot90=True), generator)
    assert torch.equal(out.flatten(1).sort().values, x.flatten(1).sort().values)
    assert not torch.equal(out, x)


def test_what_is_not_square_is_turned_by_half_turns_alone() -> None:
    x = torch.rand(16, 3, 4, 12) * 255
    out = augment(x, Augment(rot90=True), torch.Generator().manual_seed(0))
    still = (out == x).flatten(1).all(1)
    turned = (out == x.rot90(2, (2, 3))).flatten(1).all(1)
    assert (still ^ turned).all()
    assert 0 < turned.sum() < 16


def test_affine_distortion_of_nothing_is_the_identity() -> None:
    x = torch.rand(2, 1, 16, 16)
    still = Augment(scale=(1.0, 1.0000001))
    out = augment(x, still, torch.Generator().manual_seed(0))
    assert torch.allclose(out, x, atol=1e-4)


def test_digits_are_padded_to_32_and_scaled_as_lecun_has_it() -> None:
    data = load_data("mnist5k")
    spec = input_for(data, 32, 32, 1)
    assert (spec.resize, spec.crop) == ("pad", (28, 28))
    low, high = ((v - spec.mean[0]) / spec.std[0] for v in (0.0, 1.0))
    assert (low, high) == (pytest.approx(-0.1), pytest.approx(1.175))


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_reads(name: str) -> None:
    assert load_recipe(name).epochs > 0


def test_a_recipe_with_a_setting_that_does_not_exist_says_which(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 3\nlearning_rate = 0.1\n")
    with pytest.raises(InputError, match="learning_rate"):
        load_recipe(str(file))


@pytest.mark.slow
def test_lenet5_reads_97_5_percent_of_the_held_out_digits(tmp_path: Path) -> None:
    data = load_data("mnist5k")
    result = fitting.fit(describe(data, "lenet5"), data, tmp_path / "lenet", progress=False)
    assert result.top1 >= 0.975


@pytest.mark.slow
def test_mobilenet_knows_its_terrain(tmp_path: Path) -> None:
    data = load_data("terrain")
    run = describe(data, "mobilenet_v1", width=0.25, resolution="96")
    assert fitting.fit(run, data, tmp_path / "terrain", progress=False).top1 >= 0.97
