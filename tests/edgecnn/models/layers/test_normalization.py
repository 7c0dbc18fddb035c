"""Local response normalisation is the paper's; batch normalisation and dropout, in and after
training.
"""

from __future__ import annotations

import torch
from torch import nn

from edgecnn.models.layers import LocalResponseNorm


def test_local_response_normalisation_is_the_papers_sum_over_neighbours() -> None:
    h = torch.randn(2, 8, 3, 4, dtype=torch.float64) * 20
    n, alpha, beta, k = 5, 1e-4, 0.75, 2.0
    out = LocalResponseNorm(n, alpha, beta, k)(h)
    for i in range(8):
        near = h[:, max(0, i - n // 2) : i + n // 2 + 1]
        expected = h[:, i] / (k + alpha * near.square().sum(1)) ** beta
        torch.testing.assert_close(out[:, i], expected)
    # PyTorch's own, after Caffe, takes the mean where the paper takes the sum.
    torch.testing.assert_close(out, nn.LocalResponseNorm(n, alpha * n, beta, k)(h))
    assert not torch.allclose(out, nn.LocalResponseNorm(n, alpha, beta, k)(h))


def test_an_active_channel_quiets_its_neighbours_and_no_others() -> None:
    h = torch.ones(1, 9, 1, 1)
    before = LocalResponseNorm()(h).flatten()
    h[0, 4] = 100
    after = LocalResponseNorm()(h).flatten()
    assert (after < before - 1e-3).nonzero().flatten().tolist() == [2, 3, 5, 6]


def test_the_constants_are_those_of_alexnet() -> None:
    layer = LocalResponseNorm()
    assert (layer.size, layer.alpha, layer.beta, layer.k) == (5, 1e-4, 0.75, 2.0)


def test_batch_normalisation_centres_and_scales_each_channel_by_the_batch() -> None:
    x = torch.randn(64, 8, 4, 4) * 3 + 2
    norm = nn.BatchNorm2d(8)
    out = norm(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2, 3), correction=0), torch.ones(8), atol=1e-3, rtol=0)


def test_batch_normalisation_is_a_fixed_linear_map_after_training() -> None:
    norm = nn.BatchNorm2d(3).double()
    for _ in range(5):
        norm(torch.randn(16, 3, 4, 4, dtype=torch.float64) * 3 + 2)
    norm.eval()
    one, rest = torch.randn(1, 3, 4, 4).double(), torch.randn(7, 3, 4, 4).double()
    torch.testing.assert_close(norm(torch.cat([one, rest]))[:1], norm(one))
    conv = nn.Conv2d(3, 3, 3, bias=False).double()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    folded = nn.functional.conv2d(
        one, conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    )
    torch.testing.assert_close(norm(conv(one)), folded)  # so that a graph needs no such layer


def test_dropout_keeps_the_mean_in_training_and_the_values_after_it() -> None:
    drop, x = nn.Dropout(0.5), torch.ones(10_000)
    kept = drop(x)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert 0.9 < kept.mean() < 1.1
    assert torch.equal(drop.eval()(x), x)
