"""Maxout and the scaled tanh, and what commutes with permutations."""

from __future__ import annotations

import pytest
import torch

from edgecnn.models.layers import Maxout, ScaledTanh
from edgecnn_runtime.errors import InputError


def test_softmax_and_maxout_commute_with_permutations() -> None:
    a, order = torch.randn(5, 24), torch.randperm(24)
    torch.testing.assert_close(a[:, order].softmax(1), a.softmax(1)[:, order])
    units = torch.randn(5, 24, 3)  # 24 units of three pieces each
    maxout = Maxout(3)
    permuted = maxout(units[:, order].flatten(1))
    torch.testing.assert_close(permuted, maxout(units.flatten(1))[:, order])
    maps, places = torch.randn(2, 6, 5, 5), torch.randperm(25)  # and with those of the pixels
    moved = maps.flatten(2)[..., places].reshape(2, 6, 5, 5)
    expected = Maxout(2)(maps).flatten(2)[..., places].reshape(2, 3, 5, 5)
    torch.testing.assert_close(Maxout(2)(moved), expected)


def test_softmax_does_not_commute_with_another_linear_map() -> None:
    a, w = torch.randn(5, 4), torch.randn(4, 4)
    assert not torch.allclose((a @ w).softmax(1), a.softmax(1) @ w)


def test_maxout_takes_the_largest_of_neighbouring_channels() -> None:
    x = torch.tensor([[1.0, 5, -3, -2]])[..., None, None]
    assert Maxout(2)(x).flatten().tolist() == [5, -2]
    with pytest.raises(InputError, match=r"4 channels; .* a multiple of 3"):
        Maxout(3)(x)
    maps = torch.randn(2, 6, 3, 3)
    out = Maxout(3)(maps)
    assert out.shape == (2, 2, 3, 3)
    assert torch.equal(out[:, 1], maps[:, 3:].amax(1))
    assert Maxout(2)(torch.randn(4, 8)).shape == (4, 4)


def test_maxout_can_be_a_relu_or_the_absolute_value() -> None:
    a = torch.randn(3, 5)
    pairs = torch.stack([a, torch.zeros_like(a)], 2).flatten(1)
    assert torch.equal(Maxout(2)(pairs), a.relu())
    assert torch.equal(Maxout(2)(torch.stack([a, -a], 2).flatten(1)), a.abs())


def test_the_scaled_tanh_leaves_1_where_it_is_and_ends_at_1_7159() -> None:
    x = torch.tensor([-1e3, -1, 0, 1, 1e3], dtype=torch.float64, requires_grad=True)
    out = ScaledTanh()(x)
    expected = torch.tensor([-1.7159, -1, 0, 1, 1.7159]).double()
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=0)
    (slope,) = torch.autograd.grad(out.sum(), x)
    assert slope[2].item() == pytest.approx(1.7159 * 2 / 3)
