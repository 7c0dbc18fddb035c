"""The networks have the counts that their authors published."""

from __future__ import annotations

import pytest
import torch

from edgecnn.models import ZOO, build
from edgecnn.models.cost import cost, parameters, receptive_field
from edgecnn.models.layers import round_channels
from edgecnn.models.lenet5 import C3_TABLE, RBF, SparseConv, digit_codes
from edgecnn_runtime.errors import InputError

# TF-slim's MobileNet_v1: width -> (parameters, {resolution: millions of MACs})
GRID = {
    1.0: (4_231_976, {224: 568.7, 192: 418.1, 160: 290.7, 128: 186.4}),
    0.75: (2_585_560, {224: 325.4, 192: 239.3, 160: 166.4, 128: 106.8}),
    0.5: (1_331_592, {224: 149.5, 192: 110.0, 160: 76.5, 128: 49.2}),
    0.25: (470_072, {224: 41.0, 192: 30.2, 160: 21.1, 128: 13.6}),
}
CASES = [(w, r, p, macs) for w, (p, grid) in GRID.items() for r, macs in grid.items()]


@pytest.mark.parametrize(("width", "resolution", "count", "macs"), CASES)
def test_mobilenet_v1_has_the_published_counts(
    width: float, resolution: int, count: int, macs: float
) -> None:
    size = cost(build("mobilenet_v1", width=width), (3, resolution, resolution))
    assert size.parameters == count
    assert size.macs / 1e6 == pytest.approx(macs, rel=0.005)


def test_mobilenet_v1_sees_315_pixels() -> None:
    assert receptive_field(build("mobilenet_v1", width=0.25), 3) == 315


def test_lenet5_has_60000_parameters_layer_by_layer() -> None:
    size = cost(build("lenet5"), (1, 32, 32))
    trained = [layer.parameters for layer in size.layers if layer.parameters]
    assert trained == [156, 12, 1516, 32, 48120, 10164]
    assert size.parameters == 60_000
    assert size.macs == 325_680


def test_lenet5_sees_its_whole_input() -> None:
    assert receptive_field(build("lenet5"), 1) == 32


def test_c3_connects_only_what_the_table_says() -> None:
    layer = SparseConv()
    dense = layer.dense_weight()
    for output, row in enumerate(C3_TABLE):
        for plane in range(6):
            is_connected = bool(dense[output, plane].abs().sum() > 0)
            assert is_connected == (str(plane) in row)
    assert layer.weight.shape[0] == 60


def test_rbf_is_the_squared_distance_to_a_bitmap() -> None:
    rbf = RBF()
    codes = digit_codes()
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    logits = rbf(codes)
    assert torch.equal(logits.argmax(1), torch.arange(10))
    assert torch.allclose(logits.diagonal(), torch.zeros(10))
    distance = (codes[3] - codes[8]).square().sum()
    assert logits[3, 8] == pytest.approx(-float(distance) / 10)


def test_rbf_codes_of_other_class_counts_are_the_same_every_time() -> None:
    assert torch.equal(RBF(26).codes, RBF(26).codes)
    assert RBF(26).codes.unique(dim=0).shape[0] == 26


@pytest.mark.parametrize("name", ZOO)
def test_every_network_answers_with_a_row_of_logits(name: str) -> None:
    row = ZOO[name]
    network = build(name, num_classes=7).eval()
    x = torch.randn(2, row.channels, row.resolution, row.resolution)
    assert network(x).shape == (2, 7)
    assert parameters(network) > 0


def test_a_fresh_network_does_not_let_its_input_vanish() -> None:
    torch.manual_seed(0)
    features = build("mobilenet_v1", width=0.5).features
    assert isinstance(features, torch.nn.Module)
    with torch.no_grad():
        out = features.eval()(torch.randn(8, 3, 64, 64))  # batch norm passes everything on
    assert 1e-3 < float(out.std()) < 10


@pytest.mark.parametrize(("channels", "rounded"), [(8, 8), (24.0, 24), (9.6, 16), (3, 8), (20, 24)])
def test_scaled_channels_round_to_eights(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


def test_a_width_for_a_network_without_one_names_those_that_have() -> None:
    with pytest.raises(InputError, match="those that have: mobilenet_v1"):
        build("lenet5", width=0.5)


def test_an_unknown_model_is_met_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'mobilenet_v1'"):
        build("mobilnet_v1")
