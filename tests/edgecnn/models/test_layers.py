"""Layers against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.models.layers import (
    AdaptivePool,
    DenseLayer,
    Fire,
    Fractal,
    Inception,
    Join,
    LocalResponseNorm,
    LpPool,
    Maxout,
    Residual,
    SqueezeExcitation,
    round_channels,
)

TABLE = torch.tensor([[12.0, 20, 30, 0], [8, 12, 2, 0], [34, 70, 37, 4], [112, 100, 25, 12]])


@pytest.mark.parametrize(("channels", "rounded"), [(8, 8), (24.0, 24), (9.6, 16), (3, 8), (20, 24)])
def test_scaled_channels_round_to_eights(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


@pytest.mark.parametrize(
    ("p", "pooled"),
    [
        (1, [[13.0, 8.0], [79.0, 19.5]]),
        (2, [[13.711, 15.033], [84.558, 23.206]]),
        (float("inf"), [[20.0, 30.0], [112.0, 37.0]]),
    ],
)
def test_lp_pooling_of_the_lecture(p: float, pooled: list[list[float]]) -> None:
    assert torch.allclose(LpPool(p, 2)(TABLE[None, None])[0, 0], torch.tensor(pooled), atol=5e-4)


def test_lp_pooling_has_the_maximum_as_its_limit() -> None:
    x = torch.rand(1, 2, 6, 6)
    largest = LpPool(float("inf"), 3, 1)(x)
    errors = [float((LpPool(p, 3, 1)(x) - largest).abs().max()) for p in (1, 4, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_lp_pooling_of_nothing_has_a_gradient() -> None:
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    LpPool(2, 2)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_maxout_takes_the_largest_of_neighbouring_channels() -> None:
    x = torch.randn(2, 6, 3, 3)
    out = Maxout(3)(x)
    assert out.shape == (2, 2, 3, 3)
    assert torch.equal(out[:, 1], x[:, 3:].amax(1))
    assert Maxout(2)(torch.randn(4, 8)).shape == (4, 4)


def test_response_normalisation_is_the_papers_sum_over_neighbours() -> None:
    x = torch.randn(2, 8, 3, 3)
    out = LocalResponseNorm(size=5, alpha=0.1, beta=0.75, k=2)(x)
    for i in range(8):
        near = x[:, max(0, i - 2) : i + 3].square().sum(1)
        assert torch.allclose(out[:, i], x[:, i] / (2 + 0.1 * near) ** 0.75, atol=1e-6)
    caffe = nn.LocalResponseNorm(5, alpha=0.5, beta=0.75, k=2)
    assert torch.allclose(out, caffe(x), atol=1e-6)


@pytest.mark.parametrize("side", [1, 2, 4, 5, 7, 9, 14, 15])
def test_adaptive_pooling_has_pytorchs_windows(side: int) -> None:
    x = torch.randn(2, 3, side, side + 3)
    assert torch.allclose(AdaptivePool(7)(x), nn.AdaptiveAvgPool2d(7)(x), atol=1e-6)


def test_a_residual_block_of_nothing_is_its_shortcut() -> None:
    body = nn.Conv2d(4, 4, 3, padding=1)
    nn.init.zeros_(body.weight)
    nn.init.zeros_(body.bias)  # type: ignore[arg-type]
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(Residual(body)(x), x)


def test_dense_layers_pass_their_input_on_and_add_growth_maps() -> None:
    x = torch.randn(2, 8, 5, 5)
    before = x.clone()
    out = DenseLayer(8, 4).eval()(x)
    assert out.shape == (2, 12, 5, 5)
    assert torch.equal(out[:, :8], before)
    assert torch.equal(x, before)


def test_a_gate_scales_whole_maps() -> None:
    layer, x = SqueezeExcitation(8, 2), torch.rand(2, 8, 5, 5) + 0.5
    ratio = layer(x) / x
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio), atol=1e-6)
    assert ((ratio > 0) & (ratio < 1)).all()


def test_fire_and_inception_give_the_channels_that_they_say() -> None:
    x = torch.randn(1, 16, 9, 9)
    assert Fire(16, 4, 8)(x).shape == (1, 16, 9, 9)
    assert Inception(16, (3, 2, 5, 2, 7, 4))(x).shape == (1, 3 + 5 + 7 + 4, 9, 9)


def test_a_reducing_1x1_saves_nine_tenths_of_the_weights() -> None:
    direct = nn.Conv2d(192, 128, 3, bias=False)
    reduced = [nn.Conv2d(192, 16, 1, bias=False), nn.Conv2d(16, 128, 3, bias=False)]
    assert direct.weight.numel() == 221_184
    assert sum(conv.weight.numel() for conv in reduced) == 21_504


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
