"""A supernet is the widest network, and its slices are plain networks of every width."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import msgspec
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from edgecnn.commands.train import describe
from edgecnn.data import load_data
from edgecnn.models import build
from edgecnn.training.family import fit_family
from edgecnn.training.fit import quiet
from edgecnn.training.run import load_network, read_run
from edgecnn.training.start import start
from edgecnn.training.supernet import (
    SandwichTraining,
    Supernet,
    batch_bounds,
    recalibrate,
    sandwich,
)
from edgecnn_runtime.errors import InputError

WIDTHS = (0.25, 0.5, 1.0)


def make(width: float, model: str = "mobilenet_v1") -> nn.Module:
    return build(model, num_classes=3, width=width)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    torch.manual_seed(0)
    return Supernet(make, WIDTHS)


def test_it_has_no_weights_but_those_of_the_widest_network(supernet: Supernet) -> None:
    ours = sum(p.numel() for p in supernet.parameters())
    assert ours == sum(p.numel() for p in make(1.0).parameters())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_network_cut_out_has_the_first_channels_of_every_layer(
    supernet: Supernet, width: float
) -> None:
    plain = supernet.extract(width)
    whole = dict(supernet.widest.named_parameters())
    for name, parameter in plain.named_parameters():
        corner = whole[name][tuple(slice(size) for size in parameter.shape)]
        assert torch.equal(parameter, corner), name
    assert plain.state_dict().keys() == make(width).state_dict().keys()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_network_cut_out_answers_as_the_supernet_at_its_width(
    supernet: Supernet, width: float
) -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = supernet.extract(width).eval()
    supernet.eval()
    with torch.no_grad():
        torch.testing.assert_close(supernet(x, width), plain(x))


def test_the_gradient_of_a_width_stays_in_its_slice(supernet: Supernet) -> None:
    supernet.train()
    supernet.zero_grad()
    supernet(torch.randn(2, 3, 32, 32), 0.25).sum().backward()
    narrow = dict(make(0.25).named_parameters())
    for name, parameter in supernet.widest.named_parameters():
        assert parameter.grad is not None
        inside = tuple(slice(size) for size in narrow[name].shape)
        outside = parameter.grad.clone()
        outside[inside] = 0
        assert not outside.any(), name
    stem = next(iter(supernet.widest.parameters()))
    assert stem.grad is not None
    assert stem.grad.any()


def test_widths_with_other_layers_cannot_share_weights() -> None:
    with pytest.raises(InputError, match=r"width 0\.25 has other layers than that of width 1"):
        Supernet(partial(make, model="mobilenet_v2"), (0.25, 1.0))


def test_one_width_is_no_supernet() -> None:
    with pytest.raises(InputError, match="expected two or more"):
        Supernet(make, (1.0, 1.0))


def test_every_step_has_the_widest_first_the_narrowest_last_and_some_between() -> None:
    steps = [sandwich((0.25, 0.5, 0.75, 1.0), 0, step) for step in range(40)]
    assert all(step[0] == 1.0 and step[-1] == 0.25 for step in steps)
    assert all(len(step) == 3 for step in steps)
    assert {step[1] for step in steps} == {0.5, 0.75}
    assert steps == [sandwich((0.25, 0.5, 0.75, 1.0), 0, step) for step in range(40)]


def test_statistics_are_plain_means_over_the_batches() -> None:
    norm = nn.BatchNorm2d(2)
    norm.running_mean += 100  # type: ignore[operator]  # what another width has left
    momentum = norm.momentum
    batches = [torch.randn(8, 2, 4, 4) + shift for shift in (0.0, 1.0, 5.0)]
    recalibrate(norm, batches)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches])
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, means.mean(0))
    assert norm.momentum == momentum
    assert not norm.training


def test_no_batch_is_of_one_image() -> None:
    assert batch_bounds(9, 4) == [(0, 4), (4, 8)]
    assert batch_bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]


def test_a_recipes_dropout_start_and_clipping_are_those_of_every_width(tmp_path: Path) -> None:
    data = load_data("terrain")
    run = describe(data, "mobilenet_v1", width=0.5, resolution="32", epochs=1)
    recipe = run.recipe.changed(dropout=0.5, initialisation="krizhevsky", clip_gradient=1e-9)
    run = msgspec.structs.replace(run, recipe=msgspec.structs.replace(recipe, weight_decay=0.0))
    members = {tmp_path / f"{w}": msgspec.structs.replace(run, width=w) for w in (0.25, 0.5)}
    fit_family(members, data, tmp_path / "work")
    network = load_network(tmp_path / "0.25", read_run(tmp_path / "0.25"))
    # As they started: what is clipped to nothing teaches nothing.
    torch.manual_seed(run.seed)
    fresh = run.network()
    start(fresh, run.recipe)
    first, kept = (
        next(m for m in n.modules() if isinstance(m, nn.Conv2d)) for n in (fresh, network)
    )
    assert torch.allclose(kept.weight, first.weight[: len(kept.weight)], atol=1e-6)
    assert float(first.weight.detach().std()) == pytest.approx(0.01, rel=0.2)


def _perceptron(width: float) -> nn.Module:
    hidden = int(8 * width)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * 32 * 32, hidden), nn.ReLU(), nn.Linear(hidden, 3)
    )


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_gradients_are_clipped_in_their_own_size_and_not_in_half_precisions(scale: float) -> None:
    run = describe(load_data("terrain"), "mobilenet_v1", resolution="32", epochs=1)
    settings = {"lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "clip_gradient": 0.01}
    recipe = run.recipe.changed(**settings, schedule="constant")  # type: ignore[arg-type]
    run = msgspec.structs.replace(run, recipe=recipe)
    torch.manual_seed(0)
    supernet = Supernet(_perceptron, (0.5, 1.0))
    before = nn.utils.parameters_to_vector(supernet.parameters()).detach().clone()
    images = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
    batches = DataLoader(TensorDataset(images, torch.arange(8) % 3), batch_size=8)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    trainer = Trainer(
        max_steps=1,
        accelerator="cpu",
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        quiet()
        trainer.fit(SandwichTraining(supernet, {(32, 32): run}, 1), batches)
    moved = nn.utils.parameters_to_vector(supernet.parameters()).detach() - before
    assert float(moved.norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)
