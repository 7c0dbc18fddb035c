"""Blocks against their definitions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import (
    Branches,
    Concat,
    ConvReLU,
    DenseLayer,
    Fire,
    Inception,
    Residual,
    SqueezeExcitation,
)


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_an_inception_module_gives_the_answers_of_all_sizes_one_after_the_other() -> None:
    x, channels = torch.randn(2, 16, 9, 9), Branches(3, 2, 5, 2, 7, 4)
    module = Inception(16, channels)
    sides = [conv.kernel_size[0] for conv in convolutions(module)]
    assert sides == [1, 1, 3, 1, 5, 1]
    out = module(x)
    assert out.shape == (2, channels.outputs, 9, 9) == (2, 3 + 5 + 7 + 4, 9, 9)
    plain, three, five, pooled = out.split([3, 5, 7, 4], 1)
    for part, branch in zip((plain, three, five), list(module), strict=False):
        assert torch.equal(part, branch(x))
    project = convolutions(module)[-1]
    torch.testing.assert_close(pooled, project(F.max_pool2d(x, 3, 1, 1)).relu())


def test_branches_side_by_side_see_different_neighbourhoods() -> None:
    x = torch.zeros(1, 1, 15, 15, requires_grad=True)
    module = Concat(*(nn.Conv2d(1, 1, n, padding=n // 2) for n in (1, 3, 5)))
    for channel, side in enumerate((1, 3, 5)):
        (grad,) = torch.autograd.grad(module(x)[0, channel, 7, 7], x)
        assert int((grad != 0).sum()) == side**2


def test_a_residual_block_of_nothing_is_its_shortcut() -> None:
    body = nn.Conv2d(4, 4, 3, padding=1)
    nn.init.zeros_(body.weight)
    nn.init.zeros_(body.bias)  # type: ignore[arg-type]
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(Residual(body)(x), x)


def test_a_residual_block_learns_the_change_of_its_input() -> None:
    body = nn.Sequential(ConvReLU(4, 4), nn.Conv2d(4, 8, 3, padding=1))
    shortcut = nn.Conv2d(4, 8, 1)
    x = torch.randn(1, 4, 5, 5, requires_grad=True)
    out = Residual(body, shortcut, nn.ReLU())(x)
    torch.testing.assert_close(out, (body(x) + shortcut(x)).relu())
    nn.init.zeros_(body[1].weight)
    (grad,) = torch.autograd.grad(Residual(nn.Sequential(body, nn.Conv2d(8, 4, 1)))(x).sum(), x)
    torch.testing.assert_close(grad, torch.ones_like(x))  # it passes, whatever the body does


def test_dense_layers_pass_their_input_on_and_add_growth_maps() -> None:
    x = torch.randn(2, 8, 5, 5)
    before = x.clone()
    out = DenseLayer(8, 4).eval()(x)
    assert out.shape == (2, 12, 5, 5)
    assert torch.equal(out[:, :8], before)
    assert torch.equal(x, before)


def test_a_dense_layer_normalises_and_cuts_before_it_convolves() -> None:
    kinds = [type(m).__name__ for m in DenseLayer(8, 4)[1]]
    assert kinds == ["BatchNorm2d", "ReLU", "Conv2d"] * 2
    reduce, conv = convolutions(DenseLayer(8, 4))
    assert (reduce.kernel_size, reduce.out_channels) == ((1, 1), 4 * 4)
    assert (conv.kernel_size, conv.out_channels) == ((3, 3), 4)


def test_residual_layers_have_c_by_c_weights_and_dense_ones_l_by_k_by_k() -> None:
    channels, growth = 256, 32
    residual = Residual(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
    assert convolutions(residual)[0].weight.numel() == 9 * channels * channels
    block = nn.Sequential(*(DenseLayer(level * growth, growth) for level in range(1, 9)))
    assert block(torch.zeros(1, growth, 4, 4)).shape[1] == 9 * growth
    for level, layer in enumerate(block, 1):
        reduce, conv = convolutions(layer)
        assert reduce.weight.numel() == 4 * level * growth * growth  # reads all earlier maps
        assert conv.weight.numel() == 9 * 4 * growth * growth  # the same at any depth
    assert sum(c.weight.numel() for c in convolutions(block)) < 9 * channels * channels


def test_a_gate_scales_whole_maps() -> None:
    layer, x = SqueezeExcitation(8, 2), torch.rand(2, 8, 5, 5) + 0.5
    ratio = layer(x) / x
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio), atol=1e-6)
    assert ((ratio > 0) & (ratio < 1)).all()


def test_squeeze_and_excitation_is_the_papers_formula() -> None:
    layer, x = SqueezeExcitation(8, 2), torch.randn(3, 8, 5, 5)
    first, second = convolutions(layer)
    z = x.mean((2, 3))
    hidden = (z @ first.weight[:, :, 0, 0].T + first.bias).relu()
    scale = (hidden @ second.weight[:, :, 0, 0].T + second.bias).sigmoid()
    torch.testing.assert_close(layer(x), x * scale[:, :, None, None])


def test_fire_squeezes_and_expands_by_both_kernels() -> None:
    x, fire = torch.randn(1, 16, 9, 9), Fire(16, 4, 8)
    squeeze, one, three = convolutions(fire)
    assert [c.kernel_size[0] for c in (squeeze, one, three)] == [1, 1, 3]
    squeezed = squeeze(x).relu()
    expected = torch.cat([one(squeezed), three(squeezed)], 1).relu()
    assert expected.shape == (1, 16, 9, 9)
    torch.testing.assert_close(fire(x), expected)
