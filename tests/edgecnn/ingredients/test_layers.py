"""Maxout, local response normalisation, layers without shared weights; and what layers cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.ingredients import LocallyConnected2d, LocalResponseNorm, Maxout
from edgecnn_runtime.errors import InputError


def weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


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
    with pytest.raises(InputError, match="a multiple of 3"):
        Maxout(3)(x)


def test_local_response_normalisation_is_the_papers_formula() -> None:
    h = torch.randn(2, 8, 3, 4, dtype=torch.float64) * 20
    n, alpha, beta, k = 5, 1e-4, 0.75, 2.0
    out = LocalResponseNorm(n, alpha, beta, k)(h)
    for i in range(8):
        near = h[:, max(0, i - n // 2) : i + n // 2 + 1]
        expected = h[:, i] / (k + alpha * near.square().sum(1)) ** beta
        torch.testing.assert_close(out[:, i], expected)


def test_the_counts_of_dense_local_shared_and_bank_layers() -> None:
    pixels = 200 * 200
    dense = nn.Linear(pixels, pixels, bias=False, device="meta")
    local = LocallyConnected2d(1, 1, (200, 200), 10, bias=False, device="meta")
    shared = nn.Conv2d(1, 1, 10, bias=False)
    bank = nn.Conv2d(1, 10, 10, bias=False)
    bank_of_banks = nn.Conv2d(10, 10, 10, bias=False)
    counts = [weights(m) for m in (dense, local, shared, bank, bank_of_banks)]
    assert counts == [1_600_000_000, 4_000_000, 100, 1_000, 10_000]


@pytest.mark.parametrize("kernel", [3, 4])
def test_a_locally_connected_layer_with_equal_kernels_is_a_convolution(kernel: int) -> None:
    conv = nn.Conv2d(2, 3, kernel, padding="same")
    local = LocallyConnected2d(2, 3, (6, 7), kernel)
    assert local.bias is not None
    assert conv.bias is not None
    with torch.no_grad():
        local.weight.copy_(conv.weight.flatten(1)[..., None].expand_as(local.weight))
        local.bias.copy_(conv.bias[:, None, None].expand_as(local.bias))
        x = torch.randn(4, 2, 6, 7)
        here = nn.functional.pad(x, (kernel // 2, (kernel - 1) // 2) * 2)
        expected = nn.functional.conv2d(here, conv.weight, conv.bias)
        torch.testing.assert_close(local(x), expected)
        local.weight[..., 0] *= 2  # the upper left place alone
        changed = (local(x) - expected).abs().amax((0, 1)) > 1e-6
    assert changed.nonzero().tolist() == [[0, 0]]


def test_a_1x1_convolution_in_between_saves_nine_tenths() -> None:
    whole = nn.Conv2d(192, 128, 3, bias=False)
    reduced = nn.Sequential(nn.Conv2d(192, 16, 1, bias=False), nn.Conv2d(16, 128, 3, bias=False))
    assert (weights(whole), weights(reduced)) == (221_184, 21_504)


def test_three_3x3_have_27_weights_for_49_of_one_7x7_and_see_as_much() -> None:
    three = nn.Sequential(*(nn.Conv2d(1, 1, 3, bias=False) for _ in range(3)))
    one = nn.Conv2d(1, 1, 7, bias=False)
    assert (weights(three), weights(one)) == (27, 49)
    x = torch.zeros(1, 1, 20, 20)
    assert three(x).shape == one(x).shape


def seen(*layers: nn.Module) -> int:
    """Pixels of one side that one unit of the output depends on."""
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.fill_(1.0)
    out = nn.Sequential(*layers)(x)
    middle = out.shape[-1] // 2
    (grad,) = torch.autograd.grad(out[0, 0, middle, middle], x)
    return int((grad[0, 0].abs().sum(0) > 0).sum())


def test_the_receptive_fields_of_the_lecture() -> None:
    def conv() -> nn.Module:
        return nn.Conv2d(1, 1, 3)

    assert seen(conv(), conv()) == 5
    assert seen(conv(), conv(), conv()) == 7
    # Pooling doubles the growth of what follows, and not the field.
    assert seen(conv(), conv(), nn.AvgPool2d(2)) == 6
    assert seen(conv(), conv(), nn.AvgPool2d(2), conv(), conv()) == 14


def test_dropout_and_batch_normalisation_do_nothing_more_at_the_end() -> None:
    x = torch.randn(64, 8, 4, 4) * 3 + 2
    norm = nn.BatchNorm2d(8)
    out = norm(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2, 3), correction=0), torch.ones(8), atol=1e-3, rtol=0)
    drop = nn.Dropout(0.5)
    kept = drop(torch.ones(10_000))
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(drop.eval()(x), x)
