"""Losses whose δ is y - d."""

from __future__ import annotations

import torch

from edgecnn.models.layers import CrossEntropy, SumOfSquares


def outputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations and one-hot desired outputs: (6, 4) each."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(6, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    d = torch.eye(4, dtype=torch.float64)[torch.randint(0, 4, (6,), generator=generator)]
    return a, d


def test_sum_of_squares_has_the_delta_y_minus_d() -> None:
    y, d = outputs()
    loss = SumOfSquares()(y, d)
    torch.testing.assert_close(loss, ((y - d) ** 2).sum(1).mean() / 2)
    (delta,) = torch.autograd.grad(loss, y)
    torch.testing.assert_close(delta, (y - d).detach() / 6)


def test_cross_entropy_behind_a_softmax_has_the_delta_y_minus_d() -> None:
    a, d = outputs()
    y = a.softmax(1)
    loss = CrossEntropy()(a, d)
    torch.testing.assert_close(loss, -(d * y.log()).sum(1).mean())
    (delta,) = torch.autograd.grad(loss, a)
    torch.testing.assert_close(delta, (y - d).detach() / 6)


def test_both_vanish_where_the_output_is_the_desired_one() -> None:
    _, d = outputs()
    assert SumOfSquares()(d, d) == 0
    assert CrossEntropy()(1000 * d, d) < 1e-6
