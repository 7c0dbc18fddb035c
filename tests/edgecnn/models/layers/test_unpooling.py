"""Max pooling and its way back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import SwitchPool2d, Unpool2d

H = torch.tensor([3.0, 5, 6, 2, 2, 9, 4])


def test_the_1d_max_pool_of_the_lecture_and_its_backward() -> None:
    h = H.clone()[None, None].requires_grad_()
    out = F.max_pool1d(h, 3, stride=1, padding=1)
    assert out[0, 0].tolist() == [5, 6, 6, 6, 9, 9, 9]
    (grad,) = torch.autograd.grad(out, h, torch.arange(1.0, 8)[None, None])
    assert grad[0, 0].tolist() == [0, 1, 9, 0, 0, 18, 0]


def test_the_same_by_switches_and_unpooling() -> None:
    h = H.expand(1, 1, 3, 7).clone()
    h[:, :, (0, 2)] = -1
    pooled, switches = SwitchPool2d(3, stride=1, padding=1)(h)
    assert pooled[0, 0, 1].tolist() == [5, 6, 6, 6, 9, 9, 9]
    delta = torch.zeros_like(pooled)
    delta[0, 0, 1] = torch.arange(1.0, 8)
    assert Unpool2d()(delta, switches, h.shape)[0, 0, 1].tolist() == [0, 1, 9, 0, 0, 18, 0]


def test_ties_send_the_gradient_to_the_first_maximum() -> None:
    h = torch.tensor([[[[7.0, 7], [7, 7]]]], requires_grad=True)
    (grad,) = torch.autograd.grad(F.max_pool2d(h, 2).sum(), h)
    assert grad[0, 0].tolist() == [[1, 0], [0, 0]]
    pooled, switches = SwitchPool2d(2)(h)
    assert Unpool2d()(torch.ones_like(pooled), switches, h.shape)[0, 0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1)]
)
def test_unpooling_is_the_backward_pass_of_pooling(kernel: int, stride: int, padding: int) -> None:
    h = torch.randn(2, 3, 9, 11, dtype=torch.float64, requires_grad=True)
    pooled, switches = SwitchPool2d(kernel, stride, padding)(h)
    delta = torch.randn_like(pooled)
    (expected,) = torch.autograd.grad(pooled, h, delta)
    torch.testing.assert_close(Unpool2d()(delta, switches, h.shape), expected)


def test_a_photograph_comes_back_at_its_maxima_and_is_black_between(
    photograph: torch.Tensor,
) -> None:
    pooled, switches = SwitchPool2d(2)(photograph)
    back = Unpool2d()(pooled, switches, photograph.shape)
    lit = back > 0
    assert torch.equal(back[lit], photograph[lit])
    assert lit.double().mean() <= 0.25
    again, same = SwitchPool2d(2)(back)
    assert torch.equal(again, pooled)
    assert torch.equal(same[pooled > 0], switches[pooled > 0])
    # Where windows do not overlap, PyTorch's unpooling is the same.
    assert torch.equal(back, nn.MaxUnpool2d(2)(pooled, switches))
