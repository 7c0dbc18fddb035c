"""Every recipe trains, resumes to the same weights, and says what it is."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from edgecnn.commands.train import describe
from edgecnn.data import DataSet
from edgecnn.models import ZOO
from edgecnn.training import fit as fitting
from edgecnn.training.recipe import as_toml, load_recipe, recipes
from edgecnn.training.run import Run, read_run
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.errors import InputError

Data = Callable[..., DataSet]
PAPERS = (
    *("neocognitron", "lenet5", "alexnet", "zfnet", "vgg", "googlenet", "inception", "resnet"),
    *("densenet", "mobilenet", "xception", "squeezenet", "fractalnet", "senet", "modern"),
)
GREY = ("neocognitron", "lenet5")


def tiny(data: DataSet, recipe: str, epochs: int = 1, batch: int = 4) -> Run:
    if recipe in GREY:
        return describe(data, recipe, recipe=recipe, epochs=epochs, batch=batch)
    return describe(
        data,
        "mobilenet_v1",
        width=0.25,
        resolution="32",
        recipe=recipe,
        epochs=epochs,
        batch=batch,
    )


def test_every_paper_of_the_zoo_has_its_recipe() -> None:
    assert set(PAPERS) < set(recipes())
    families = {entry.family.lower() for entry in ZOO.values()}
    ours = {"lenet5": "lenet"}
    assert families <= {ours.get(name, name) for name in recipes()}


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_trains(name: str, colour_data: Data, tmp_path: Path) -> None:
    data = colour_data()
    run = tiny(data, name)
    fitting.fit(run, data, tmp_path / "run", progress=False)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        losses = [float(line["train_loss"]) for line in csv.DictReader(file) if line["train_loss"]]
    assert len(losses) == 1
    assert math.isfinite(losses[0])
    after = load_tensors(tmp_path / "run" / "last.safetensors")
    assert all(bool(t.isfinite().all()) for t in after.values())
    saved = load_recipe(str(tmp_path / "run" / "recipe.toml"))
    assert saved == run.recipe == read_run(tmp_path / "run").recipe
    assert saved.epochs == 1


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_becomes_toml_and_comes_back(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    (tmp_path / "again.toml").write_text(as_toml(recipe))
    assert load_recipe(str(tmp_path / "again.toml")) == recipe


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="alexnet, cifar, default, densenet") as error:
        load_recipe("qqq")
    assert all(name in str(error.value) for name in PAPERS)


def test_the_entries_answered_by_crops_and_ensembles() -> None:
    judged = {name: load_recipe(name).test for name in PAPERS}
    assert {name: t.networks for name, t in judged.items() if t.networks > 1} == {
        **{"alexnet": 7, "zfnet": 6, "vgg": 7, "googlenet": 7, "inception": 4, "resnet": 6}
    }
    assert (judged["alexnet"].crops, judged["googlenet"].crops) == ("ten", "144")
    sides = [round(224 * share) for share in judged["resnet"].shorter]
    assert sides == [224, 256, 384, 480, 640]


def test_what_is_kept_of_a_modern_run_is_the_average(colour_data: Data, tmp_path: Path) -> None:
    data = colour_data()
    modules: list[LightningModule] = []
    with pytest.MonkeyPatch.context() as patch:
        plain = fitting.Classification

        def noted(*arguments: object) -> LightningModule:
            modules.append(plain(*arguments))  # type: ignore[arg-type]
            return modules[-1]

        patch.setattr(fitting, "Classification", noted)
        fitting.fit(tiny(data, "modern"), data, tmp_path / "run", progress=False)
    kept = load_tensors(tmp_path / "run" / "last.safetensors")
    average, network = (modules[0].average.module, modules[0].network)
    assert all(torch.equal(kept[n].cpu(), t.cpu()) for n, t in average.state_dict().items())
    moved = [not torch.equal(kept[n].cpu(), p.cpu()) for n, p in network.named_parameters()]
    assert sum(moved) > 10


@pytest.mark.parametrize("name", ["modern", "googlenet", "inception", "zfnet"])
def test_a_killed_run_of_a_recipe_ends_with_the_weights_of_a_whole_one(
    name: str, colour_data: Data, tmp_path: Path
) -> None:
    data = colour_data()
    run = tiny(data, name, epochs=3)
    elastic = msgspec.structs.replace(run.recipe.augment, elastic=(8.0, 2.0), pad=0.1)
    recipe = msgspec.structs.replace(run.recipe, augment=elastic)
    run = msgspec.structs.replace(run, recipe=recipe)
    fitting.fit(run, data, tmp_path / "whole", progress=False)

    class Kill(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step == 5:  # in the middle of the second epoch
                raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fitting.fit(run, data, tmp_path / "cut", progress=False, watchers=[Kill()])
    fitting.fit(run, data, tmp_path / "cut", resume=True, progress=False)
    whole, resumed = (
        load_tensors(tmp_path / part / "last.safetensors") for part in ("whole", "cut")
    )
    assert all(torch.equal(whole[tensor], resumed[tensor]) for tensor in whole)
