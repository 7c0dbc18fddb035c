"""What a unit sees, against the support of its gradient, and the lecture's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgecnn.models import build
from edgecnn.models.layers import (
    Concat,
    ConvNet,
    Fire,
    GreyDilation,
    LocalResponseNorm,
    LpPool2d,
    Maxout,
    Residual,
    SqueezeExcitation,
    Striding,
    Subsampling,
)
from edgecnn.models.receptive_field import receptive_field


def _network(*layers: nn.Module) -> ConvNet:
    return ConvNet(nn.Sequential(*layers), nn.Linear(1, 1))


def _conv(kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(1, 1, kernel, stride, kernel // 2, bias=False)


def _gradient_support(network: nn.Module, size: int = 128) -> int:
    """Columns with a gradient, where every weight is positive so that nothing cancels."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    x = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    out = network.get_submodule("features").double().eval()(x)
    middle = out.shape[-1] // 2
    out[0, :, middle, middle].sum().backward()
    assert x.grad is not None
    columns = (x.grad[0, 0].abs().sum(0) > 0).nonzero().flatten()
    return int(columns.max() - columns.min() + 1)


@pytest.mark.parametrize(
    ("layers", "pixels"),
    [
        ((_conv(), _conv()), 5),
        ((_conv(), _conv(), _conv()), 7),
        # Pooling doubles the growth of what follows, and not the field.
        ((_conv(), _conv(), nn.AvgPool2d(2)), 6),
        ((_conv(), _conv(), nn.AvgPool2d(2), _conv(), _conv()), 14),
    ],
)
def test_receptive_fields_of_the_lecture(layers: tuple[nn.Module, ...], pixels: int) -> None:
    network = _network(*layers)
    assert receptive_field(network) == _gradient_support(network) == pixels
    of_maxima = [nn.MaxPool2d(2) if isinstance(m, nn.AvgPool2d) else m for m in layers]
    assert receptive_field(_network(*of_maxima)) == pixels


@pytest.mark.parametrize(
    "layers",
    [
        (_conv(7, 2), nn.AvgPool2d(3, 2, ceil_mode=True), _conv()),
        (_conv(), Concat(_conv(5), _conv(1)), nn.Conv2d(2, 1, 3), nn.AvgPool2d(2)),
        (_conv(3, 2), Residual(nn.Sequential(_conv(), nn.ReLU(), _conv())), _conv(3, 2)),
        (nn.ZeroPad2d(3), nn.AvgPool2d(5, 2), nn.Conv2d(1, 1, 3, dilation=2)),
        (_conv(), LocalResponseNorm(1), nn.BatchNorm2d(1), nn.AvgPool2d(2), _conv(1, 2), _conv()),
        (_conv(), LpPool2d(2, 3, 2), _conv(), LpPool2d(5, 2), _conv()),
        (_conv(), Striding(2), _conv(), Subsampling(1), _conv()),
        (_conv(), Fire(1, 1, 1), nn.Conv2d(2, 1, 3), nn.AvgPool2d(2), _conv()),
    ],
)
def test_a_unit_sees_where_its_gradient_is(layers: tuple[nn.Module, ...]) -> None:
    network = _network(*layers)
    assert receptive_field(network) == _gradient_support(network)


@pytest.mark.parametrize("name", ["neocognitron", "squeezenet1_1"])
def test_small_networks_of_the_zoo_see_where_their_gradient_is(name: str) -> None:
    network = build(name, in_channels=1)
    for path, module in list(network.named_modules()):
        if isinstance(module, nn.MaxPool2d):  # a maximum has its gradient in one place
            size = (module.kernel_size, module.stride, module.padding, module.ceil_mode)
            network.set_submodule(path, nn.AvgPool2d(*size))
    assert receptive_field(network) == _gradient_support(network, 256)


@pytest.mark.parametrize(
    ("layers", "pixels"),
    [
        ((_conv(), GreyDilation(5), _conv()), 9),
        ((nn.Conv2d(1, 6, 3), Maxout(3), nn.Conv2d(2, 1, 3)), 5),
        ((_conv(), LpPool2d(float("inf"), 3, 2), _conv()), 9),
    ],
)
def test_a_layer_that_picks_one_of_many_sees_them_all(
    layers: tuple[nn.Module, ...], pixels: int
) -> None:
    assert receptive_field(_network(*layers)) == pixels


def test_squeeze_and_excitation_is_left_out() -> None:
    assert receptive_field(_network(_conv(), SqueezeExcitation(1, 1))) == 3


def test_a_layer_that_is_not_known_is_no_silent_guess() -> None:
    with pytest.raises(NotImplementedError, match="through pixel_shuffle is not known"):
        receptive_field(_network(nn.PixelShuffle(1)))
