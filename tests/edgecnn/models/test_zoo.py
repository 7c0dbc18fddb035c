"""The networks have the counts that their authors published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgecnn.models import ZOO, build
from edgecnn.models.cost import Cost, cost, parameters
from edgecnn.models.layers import RBF, AuxiliaryLogits, ConvNetWithHeads, SparseConv
from edgecnn.models.lenet5 import C3_TABLE, digit_codes
from edgecnn.models.receptive_field import see
from edgecnn.models.registry import check_resolution
from edgecnn_runtime.errors import InputError

TRUTH: dict[str, Any] = json.loads((Path(__file__).parent / "ground_truth.json").read_text())
GRID = [(v["width"], v["resolution"], v) for v in TRUTH["mobilenet_v1_grid"]["variants"]]
STRIDES = {
    **dict.fromkeys(("neocognitron", "lenet5", "lenet5_modern"), 4),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), 16),
}  # the others: 32
WITH_HEADS = [name for name in ZOO if name.startswith(("googlenet", "inception_v3"))]


def without_weights(name: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, **arguments)


def measured(name: str, resolution: int, **arguments: Any) -> Cost:
    return cost(without_weights(name, **arguments), (ZOO[name].channels, resolution, resolution))


def test_the_zoo_holds_every_network_of_the_lecture_and_no_other() -> None:
    assert set(ZOO) == set(TRUTH["models"])


@pytest.mark.parametrize("name", ZOO)
def test_a_network_has_the_counts_that_are_known_of_it(name: str) -> None:
    known = TRUTH["models"][name]
    size = measured(name, known["resolution"])
    assert size.parameters == known["params"]
    assert size.macs / 1e6 == pytest.approx(known["macs_millions"], rel=0.005)
    assert size.receptive_field == known.get("receptive_field", size.receptive_field)
    assert ZOO[name].resolution == known["resolution"]


@pytest.mark.parametrize("name", ZOO)
def test_depth_and_stride_are_those_of_the_longest_way_through(name: str) -> None:
    network = without_weights(name)
    features, classifier = see(network)["features"], network.get_submodule("classifier")
    layers = [m for m in classifier.modules() if isinstance(m, nn.Linear | nn.Conv2d | RBF)]
    assert features.depth + len(layers) == ZOO[name].depth
    assert features.stride == STRIDES.get(name, 32)


@pytest.mark.parametrize(("width", "resolution", "known"), GRID)
def test_mobilenet_v1_has_the_published_counts_at_every_width_and_resolution(
    width: float, resolution: int, known: dict[str, float]
) -> None:
    size = measured("mobilenet_v1", resolution, width=width)
    assert size.parameters == TRUTH["mobilenet_v1_grid"]["params"][str(width)]
    assert size.macs / 1e6 == pytest.approx(known["exact_macs_millions"], rel=0.005)


@pytest.mark.parametrize(
    ("name", "with_heads"),
    [("googlenet", 13_378_280), ("googlenet_bn", 13_004_888), ("inception_v3", 27_161_264)],
)
def test_auxiliary_heads_have_their_published_size_and_do_not_count(
    name: str, with_heads: int
) -> None:
    network = without_weights(name)
    assert sum(p.numel() for p in network.parameters()) == with_heads
    assert parameters(network) == TRUTH["models"][name]["params"]


def test_lenet5_has_60000_parameters_layer_by_layer() -> None:
    size = cost(build("lenet5"), (1, 32, 32))
    trained = [layer.parameters for layer in size.layers if layer.parameters]
    assert trained == [156, 12, 1516, 32, 48120, 10164]
    assert size.parameters == 60_000
    assert size.macs == 325_680
    assert size.receptive_field == 32


def test_c3_connects_only_what_the_table_says() -> None:
    layer = build("lenet5").get_submodule("features.4")
    assert isinstance(layer, SparseConv)
    dense = layer.dense_weight()
    for output, row in enumerate(C3_TABLE):
        for plane in range(6):
            is_connected = bool(dense[output, plane].abs().sum() > 0)
            assert is_connected == (plane in row)
    assert layer.weight.shape[0] == 60


def test_rbf_is_the_squared_distance_to_a_bitmap() -> None:
    rbf, codes = RBF(digit_codes()), digit_codes()
    assert codes.shape == (10, 84)
    assert set(codes.unique().tolist()) == {-1.0, 1.0}
    logits = rbf(codes)
    assert torch.equal(logits.argmax(1), torch.arange(10))
    assert torch.allclose(logits.diagonal(), torch.zeros(10))
    distance = (codes[3] - codes[8]).square().sum()
    assert logits[3, 8] == pytest.approx(-float(distance) / 10)


def test_lenet5_has_the_bitmaps_for_ten_classes_and_the_same_codes_every_time_for_others() -> None:
    codes = [
        build("lenet5", num_classes=n).state_dict()["classifier.2.codes"] for n in (10, 26, 26)
    ]
    assert torch.equal(codes[0], digit_codes())
    assert torch.equal(codes[1], codes[2])
    assert codes[1].unique(dim=0).shape == (26, 84)


@pytest.mark.parametrize("name", ZOO)
def test_every_network_takes_other_resolutions_down_to_its_smallest(name: str) -> None:
    row = ZOO[name]
    # Shapes need no weights, with which the whole zoo would take minutes.
    network = without_weights(name, num_classes=7, in_channels=1).eval()
    for height, width in [
        (row.smallest + 33, row.smallest + 70),
        (row.smallest + 16, row.smallest + 9),  # odd maps between the layers
        (row.smallest, row.smallest),
    ]:
        check_resolution(name, height, width)
        assert network(torch.zeros(2, 1, height, width, device="meta")).shape == (2, 7)
    with pytest.raises(InputError, match=f"{name} needs at least {row.smallest}"):
        check_resolution(name, row.resolution, row.smallest - 1)


@pytest.mark.parametrize("name", ["neocognitron", "lenet5", "mobilenet_v2", "squeezenet1_1"])
def test_logits_of_different_images_differ(name: str) -> None:
    torch.manual_seed(0)
    row = ZOO[name]
    network = build(name, num_classes=7).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, row.channels, row.resolution, row.resolution))
    assert logits.isfinite().all()
    assert (logits[0] - logits[1]).abs().max() > 1e-6


@pytest.mark.parametrize("name", WITH_HEADS)
def test_auxiliary_heads_answer_in_training_alone(name: str) -> None:
    network = without_weights(name, num_classes=5)
    assert isinstance(network, ConvNetWithHeads)
    x = torch.zeros(2, 3, ZOO[name].smallest, ZOO[name].smallest, device="meta")
    trained = network.train()(x)
    assert isinstance(trained, AuxiliaryLogits)
    assert len(trained.auxiliary) == len(network.heads) == (1 if name == "inception_v3" else 2)
    assert trained.weight == (0.4 if name == "inception_v3" else 0.3)
    assert all(logits.shape == trained.logits.shape == (2, 5) for logits in trained.auxiliary)
    assert network.eval()(x).shape == (2, 5)


def test_auxiliary_heads_train_the_layers_below_them_and_none_above() -> None:
    network = build("googlenet", num_classes=5).train()
    out = network(torch.randn(2, 3, 32, 32))
    out.auxiliary[0].sum().backward()
    below, above = (network.get_submodule(f"features.{name}") for name in ("conv1", "5b"))
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in below.parameters())
    assert all(p.grad is None for p in above.parameters())


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v3_small"])
def test_a_fresh_network_does_not_let_its_input_vanish(name: str) -> None:
    torch.manual_seed(0)
    features = build(name).get_submodule("features")
    with torch.no_grad():
        out = features.eval()(torch.randn(8, 3, 64, 64))  # batch norm passes everything on
    assert 1e-3 < float(out.std()) < 100


def test_fractalnet_normalises_in_evaluation_by_what_the_whole_network_gives() -> None:
    torch.manual_seed(0)
    network = build("fractalnet20").train()
    x = torch.randn(4, 3, 32, 32)
    for _ in range(40):
        network(x)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    found: list[float] = []
    for norm in norms:
        norm.register_forward_hook(
            lambda m, inputs, _: found.append(
                float((inputs[0].var((0, 2, 3)) / m.running_var).median())
            )
        )
    with torch.no_grad():
        network.eval()(x)
    assert len(found) == len(norms) == 35
    assert all(0.5 < ratio < 2 for ratio in found)


def test_a_width_for_a_network_without_one_names_those_that_have() -> None:
    with pytest.raises(InputError, match="those that have: mobilenet_v1, mobilenet_v2"):
        build("lenet5", width=0.5)


def test_an_unknown_model_is_met_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'mobilenet_v1'"):
        build("mobilnet_v1")
