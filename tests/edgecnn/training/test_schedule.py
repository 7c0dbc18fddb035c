"""The rate falls as the papers say."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from edgecnn.training.optimizer import make_optimizer
from edgecnn.training.recipe import Recipe, load_recipe
from edgecnn.training.schedule import make_schedule, rate
from edgecnn_runtime.errors import InputError


def rates(recipe: Recipe, steps: int) -> list[float]:
    return [rate(recipe, steps, step) for step in range(steps)]


def test_steps_divide_the_rate_at_their_share_of_the_run() -> None:
    found = rates(load_recipe("resnet"), 3000)
    assert (found[0], found[998], found[999]) == (1.0, 1.0, 0.1)
    assert (found[2000], found[2001], found[-1]) == (0.1, 0.01, 0.01)


def test_lenet5_has_the_five_rates_of_its_paper() -> None:
    # 0.0005 for two passes, 0.0002 for three, 0.0001 for three, 0.00005 for four, then 0.00001.
    expected = [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8
    assert [r * 5e-4 for r in rates(load_recipe("lenet5"), 20)] == pytest.approx(expected)


def test_googlenet_loses_four_percent_every_eight_epochs() -> None:
    recipe = load_recipe("googlenet")
    found = rates(recipe, recipe.epochs * 10)
    for epoch in (0, 7, 8, 15, 16, 40):
        assert found[10 * epoch] == pytest.approx(0.96 ** (epoch // 8))


def test_squeezenet_falls_linearly_to_zero() -> None:
    found = rates(load_recipe("squeezenet"), 100)
    falls = [a - b for a, b in pairwise(found)]
    assert falls == pytest.approx([0.01] * 99)
    assert found[0] == 1


def test_a_cosine_warms_up_and_ends_at_nothing() -> None:
    recipe = Recipe(epochs=10, schedule="cosine", warmup_epochs=2)
    found = rates(recipe, 1000)
    assert found[:200] == pytest.approx([(i + 1) / 200 for i in range(200)])
    assert found[200] == 1
    assert found[600] == pytest.approx(0.5)
    assert found[400] == pytest.approx(0.5 + 0.5 * 2**-0.5)
    assert 0 < found[-1] < 1e-5


@pytest.mark.parametrize("schedule", ["constant", "cosine", "exp", "poly", "onecycle"])
def test_the_optimiser_gets_the_rate_of_every_step(schedule: str) -> None:
    recipe = Recipe(epochs=4, lr=0.2, schedule=schedule)  # type: ignore[arg-type]
    layer = nn.Linear(2, 2)
    optimizer = make_optimizer(layer, recipe)
    moves = make_schedule(optimizer, recipe, 12)
    found = []
    for _ in range(12):
        found.append(optimizer.param_groups[0]["lr"])
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        if moves:
            moves.step()
    if schedule == "onecycle":
        assert max(found) == pytest.approx(0.2, rel=0.05)
        assert found[-1] < 1e-4
    else:
        assert found == pytest.approx([0.2 * r for r in rates(recipe, 12)])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"schedule": "step"}, "goes by milestones"),
        ({"milestones": [[0.5, 0.1]]}, "goes by milestones"),
        ({"schedule": "step", "milestones": [[0.5, 0.1], [0.2, 0.01]]}, "in order"),
        ({"warmup_epochs": 2.0}, "onecycle warms up by itself"),
        ({"augment": {"shorter": [1.1, 1.2], "crop_scale": [0.5, 1.0]}}, "keep one of them"),
        ({"augment": {"shorter": [0.9, 1.2]}}, "needs at least 1"),
        ({"augment": {"interpolation": "random"}}, "set crop_scale"),
        ({"augment": {"scale": [1.2, 0.8]}}, "the smaller first"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        Recipe(epochs=2).changed(**settings)  # type: ignore[arg-type]
