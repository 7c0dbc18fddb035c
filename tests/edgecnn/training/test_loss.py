"""What training minimises, and the lecture's sum of squares as a choice of the recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, load_data
from edgecnn.data.mnist5k import Digits
from edgecnn.evaluation.predict import in_pytorch, predict_all, prepared
from edgecnn.models.layers import AuxiliaryLogits
from edgecnn.training.fit import fit
from edgecnn.training.loss import classification_loss, training_loss
from edgecnn.training.recipe import Recipe, load_recipe
from edgecnn.training.run import load_network
from edgecnn_runtime.errors import InputError

KINDS = ("cross_entropy", "sse")


def answers(images: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, classes) with a gradient, and targets (N,)."""
    logits = torch.randn(images, classes, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(0, classes, (images,))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_by_the_logits_is_y_minus_d_over_n(kind: str, smoothing: float) -> None:
    a, targets = answers()
    d = F.one_hot(targets, 4) * (1 - smoothing) + smoothing / 4
    y = a if kind == "sse" else a.softmax(1)
    (delta,) = torch.autograd.grad(classification_loss(a, targets, kind, smoothing), a)
    torch.testing.assert_close(delta, ((y - d) / 6).detach())


def test_sse_is_half_the_squared_distance_to_the_smoothed_target() -> None:
    y = torch.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0]])
    targets = torch.tensor([0, 1])
    assert classification_loss(y, targets, "sse").item() == pytest.approx((0 + 1) / 4)
    # d = .85 .05 .05 .05
    expected = (0.15**2 + 3 * 0.05**2 + 1.15**2 + 3 * 0.05**2) / 4
    assert classification_loss(y, targets, "sse", 0.2).item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_an_auxiliary_head_has_the_same_loss_and_counts_with_its_weight(kind: str) -> None:
    (main, targets), (head, _), (other, _) = answers(), answers(), answers()
    recipe = Recipe(epochs=1, loss=kind, label_smoothing=0.1)
    losses = [classification_loss(logits, targets, kind, 0.1) for logits in (main, head, other)]
    total = training_loss(AuxiliaryLogits(main, (head, other), 0.3), targets, recipe)
    torch.testing.assert_close(total, losses[0] + 0.3 * (losses[1] + losses[2]))


@pytest.fixture(scope="module")
def few_digits() -> DataSet:
    """A thousand digits to train and two hundred held out."""
    data = load_data("mnist5k")
    train, val = (
        Digits(split.images[::step], split.targets[::step])
        for split, step in ((data.train, 4), (data.val, 5))
    )
    return replace(data, train=train, val=val)


def test_a_network_learns_digits_by_sse(few_digits: DataSet, tmp_path: Path) -> None:
    run = describe(few_digits, "lenet5_modern", epochs=4, batch=20)
    run = msgspec.structs.replace(run, recipe=msgspec.structs.replace(run.recipe, loss="sse"))
    top1 = fit(run, few_digits, tmp_path / "run", progress=False).top1
    assert top1 > 0.6  # 0.1 by chance

    # What was called val_loss is the loss that was asked for, of the outputs as they are.
    network = load_network(tmp_path / "run", run)
    frames = [few_digits.val.frame(i) for i in range(len(few_digits.val))]
    with torch.no_grad():
        outputs = network(prepared(frames, run.input))
    desired = torch.eye(10)[torch.from_numpy(few_digits.val.targets)]
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    expected = (outputs - desired).square().sum(1).mean().item() / 2
    assert best["val_loss"] == pytest.approx(expected, rel=1e-4)

    # The softmax of a bundle keeps the decisions, and its probabilities are far too modest.
    probabilities = predict_all(in_pytorch(network, run.input), frames)
    assert np.array_equal(probabilities.argmax(1), outputs.argmax(1))
    assert probabilities.max(1).mean() < 0.3


def test_a_recipe_names_its_loss(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('epochs = 3\nloss = "sse"\n')
    assert load_recipe(str(file)).loss == "sse"
    assert load_recipe("default").loss == "cross_entropy"
    file.write_text('epochs = 3\nloss = "hinge"\n')
    with pytest.raises(InputError, match="hinge"):
        load_recipe(str(file))


def test_distances_to_codes_cannot_be_trained_by_sse(
    refused: Callable[..., str], few_digits: DataSet, tmp_path: Path
) -> None:
    file, out = tmp_path / "mine.toml", tmp_path / "run"
    file.write_text('epochs = 1\nloss = "sse"\n')
    line = refused("train", "mnist5k", "--model", "lenet5", "--recipe", file, "--out", out)
    assert "lenet5 answers with distances" in line
    run = describe(few_digits, "lenet5", epochs=1)
    run = msgspec.structs.replace(run, recipe=msgspec.structs.replace(run.recipe, loss="sse"))
    with pytest.raises(InputError, match="use cross_entropy"):
        fit(run, few_digits, out, progress=False)
    assert not out.exists()
