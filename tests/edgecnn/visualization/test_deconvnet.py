"""The way back through a network, against the transposed filters and the switches themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import prepared
from edgecnn.models import build
from edgecnn.models.layers import (
    ConvReLU,
    LocalResponseNorm,
    Residual,
    SqueezeExcitation,
    SwitchPool2d,
    Unpool2d,
    he_init,
)
from edgecnn.training.run import load_network, read_run
from edgecnn.visualization.boxes import Fields
from edgecnn.visualization.deconvnet import project, strongest_places


def _photographs(side: int, count: int = 3) -> torch.Tensor:
    frames = [torch.from_numpy(f).permute(2, 0, 1)[None] / 255 for f in colour_crops(count)]
    return torch.cat([F.interpolate(f, (side, side), mode="area") for f in frames]) - 0.5


@pytest.mark.parametrize("stride", [1, 2])
def test_the_projection_of_a_linear_layer_is_its_transposed_filter(stride: int) -> None:
    torch.manual_seed(0)
    x = _photographs(20)
    conv = nn.Conv2d(3, 4, 5, stride, padding=2)
    network = nn.Sequential(conv)
    maps = conv(x).detach()
    places = torch.tensor([[3, 4], [2, 5], [4, 3]])
    alone = torch.zeros_like(maps)
    for n, (row, column) in enumerate(places):
        alone[n, 1, row, column] = maps[n, 1, row, column]
    back = project(network, x, "0", 1, places)
    assert torch.allclose(back, F.conv_transpose2d(alone, conv.weight, None, stride, 2, stride - 1))
    row, column = 3 * stride, 4 * stride  # the unit's middle: its filter stands there, and no more
    patch = back[0, :, row - 2 : row + 3, column - 2 : column + 3]
    assert torch.allclose(patch, maps[0, 1, 3, 4] * conv.weight[1], atol=1e-6)
    assert back[0].abs().sum() == pytest.approx(float(patch.abs().sum()), rel=1e-5)


def _deconvnet(features: nn.Sequential, x: torch.Tensor, channel: int) -> torch.Tensor:
    """As the paper describes it, layer by layer, with the layers that the project has for it."""
    undo = []
    for layer in features:
        if isinstance(layer, nn.MaxPool2d):
            size = x.shape
            x, switches = SwitchPool2d(layer.kernel_size, layer.stride, layer.padding)(x)
            undo.append(("unpool", (switches, size)))
        elif isinstance(layer, ConvReLU):
            conv = layer[0]
            undo.append(("filter", (conv, x.shape)))
            x = F.relu(conv(x))
        else:
            assert isinstance(layer, LocalResponseNorm)
            x = layer(x)
    back = torch.zeros_like(x)
    for n, (row, column) in enumerate(strongest_places(x[:, channel])):
        back[n, channel, row, column] = x[n, channel, row, column]
    for what, (a, b) in reversed(undo):
        if what == "unpool":
            back = Unpool2d()(back, a, b)
            continue
        back = F.relu(back)
        back = nn.grad.conv2d_input(b, a.weight, back, a.stride, a.padding, groups=a.groups)
    return back


@pytest.mark.parametrize(
    ("name", "side"), [("zfnet", 96), ("alexnet", 96), ("alexnet_two_tower", 96), ("vgg16", 48)]
)
def test_any_network_in_a_row_is_projected_as_the_paper_does(name: str, side: int) -> None:
    with torch.device("meta"):  # the classifiers, which nobody needs here, are large
        features = build(name).features
    features = features.to_empty(device="cpu")
    torch.manual_seed(1)
    he_init(features)
    x = _photographs(side)
    last = str(len(features) - 1)
    with torch.no_grad():
        want = _deconvnet(features, x, channel=7)
    assert want.abs().max() > 0
    back = project(features, x, last, 7)
    assert torch.allclose(back, want, rtol=1e-4, atol=1e-5 * float(want.abs().max()))
    gradient = project(features, x, last, 7, rule="gradient")
    assert not torch.allclose(back, gradient, rtol=0.1, atol=1e-3 * float(want.abs().max()))


def test_a_shortcut_passes_back_beside_its_block() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
    body = nn.Sequential(first, nn.ReLU(inplace=True), second)
    network = nn.Sequential(Residual(body, activation=nn.ReLU(inplace=True)))
    x = _photographs(16, 1)
    out = network(x).detach()
    channel = int(out.amax((0, 2, 3)).argmax())
    place = strongest_places(out[:, channel])
    row, column = place[0].tolist()
    start = torch.zeros_like(out)
    start[0, channel, row, column] = out[0, channel, row, column]
    assert start.max() > 0
    inside = F.relu(F.conv_transpose2d(start, second.weight, padding=1))
    want = start + F.conv_transpose2d(inside, first.weight, padding=1)
    assert torch.allclose(project(network, x, "0", channel, place), want.detach(), atol=1e-6)
    silent = first(x) <= 0  # guided: what was silent passes nothing back
    want = start + F.conv_transpose2d(inside * ~silent, first.weight, padding=1)
    assert torch.allclose(project(network, x, "0", channel, place, rule="guided"), want, atol=1e-6)


def test_a_gate_of_squeeze_and_excitation_is_held_as_it_is() -> None:
    torch.manual_seed(0)
    block = SqueezeExcitation(3, 2)
    x = _photographs(12, 1)
    out = block(x).detach()
    back = project(nn.Sequential(block), x, "0", 1, torch.tensor([[5, 6]]))
    gate = float(out[0, 1, 5, 6] / x[0, 1, 5, 6])
    assert back[0, 1, 5, 6] == pytest.approx(float(out[0, 1, 5, 6]) * gate, rel=1e-4)
    assert int((back != 0).sum()) == 1  # its gradient would reach every pixel


def test_a_mobilenet_is_projected_inside_the_fields_of_its_units(trained_run: Path) -> None:
    run = read_run(trained_run)
    network = load_network(trained_run, run)
    x = prepared(list(some_frames(load_data("terrain").val, 6)), run.input)
    fields = Fields.of(network, 48, 48)
    places = torch.tensor([[6, 6]] * 6)
    for rule in ("deconv", "guided"):
        back = project(network, x, "features.3", 5, places, rule=rule)  # type: ignore[arg-type]
        top, left, bottom, right = fields.box("features.3", 6, 6)
        assert (bottom - top, right - left) == (19, 19)
        outside = back.clone()
        outside[:, :, top:bottom, left:right] = 0
        assert not outside.any()
        assert back.any()
