"""Fractal blocks, their joins and their dropped paths."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.models.layers import Fractal, Join


def test_a_fractal_of_three_columns_has_seven_convolutions_and_joins_by_the_mean() -> None:
    block = Fractal(2, 4, 3).eval()
    assert sum(isinstance(m, nn.Conv2d) for m in block.modules()) == 7
    x = torch.randn(2, 2, 6, 6)
    ends = block.ends(x)
    assert len(ends) == 3
    assert torch.allclose(block(x), torch.stack(ends).mean(0), atol=1e-6)


def test_dropped_paths_leave_at_least_one_and_the_mean_of_the_rest() -> None:
    torch.manual_seed(0)
    maps = [torch.full((1, 1, 1, 1), float(v)) for v in (1, 2, 4)]
    always = Join(drop_path=1.0).train()
    seen = {float(always(maps)) for _ in range(100)}
    assert seen == {1.0, 2.0, 4.0}
    sometimes = Join(drop_path=0.5).train()
    assert {float(sometimes(maps)) for _ in range(200)} > {1.0, 2.0, 4.0, 1.5}
    assert float(sometimes.eval()(maps)) == pytest.approx(7 / 3)


@pytest.mark.parametrize(("column", "convolutions"), [(3, 1), (2, 2), (1, 4)])
def test_a_single_column_runs_its_own_convolutions_alone(column: int, convolutions: int) -> None:
    block = Fractal(2, 4, 3).train()
    for module in block.modules():
        if isinstance(module, Fractal):
            module.column = column
    block(torch.randn(2, 2, 6, 6)).sum().backward()
    trained = [m for m in block.modules() if isinstance(m, nn.Conv2d) and m.weight.grad is not None]
    assert len(trained) == convolutions
