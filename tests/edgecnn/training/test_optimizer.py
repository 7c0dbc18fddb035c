"""What the optimiser does to which weights, and how they start."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models import build
from edgecnn.training import fit as fitting
from edgecnn.training.averaging import averaged
from edgecnn.training.loss import classification_loss
from edgecnn.training.optimizer import clip_filters, make_optimizer, parameter_groups
from edgecnn.training.recipe import Recipe, load_recipe
from edgecnn.training.start import set_dropout, start
from edgecnn_runtime.errors import InputError


def mobilenet() -> nn.Module:
    return build("mobilenet_v1", width=0.25, num_classes=3)


def named(network: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    return {n for n, p in network.named_parameters() if any(p is q for q in parameters)}


def test_modern_spares_depthwise_filters_norms_and_biases() -> None:
    network, recipe = mobilenet(), load_recipe("modern")
    decayed, kept = parameter_groups(network, recipe.weight_decay, recipe.no_decay)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (5e-5, 0.0)
    shapes = {n: p.shape for n, p in network.named_parameters()}
    spared = named(network, kept["params"])
    depthwise = {n for n, s in shapes.items() if len(s) == 4 and s[1] == 1}
    assert len(depthwise) == 13
    one_dimensional = {n for n, s in shapes.items() if len(s) == 1}
    assert spared == depthwise | one_dimensional
    assert named(network, decayed["params"]) == shapes.keys() - spared


def test_depthwise_alone_can_be_spared() -> None:
    network = mobilenet()
    groups = parameter_groups(network, 1e-4, ("depthwise",))
    assert len(groups[1]["params"]) == 13
    everything = parameter_groups(network, 1e-4, ())
    assert [len(g["params"]) for g in everything] == [len(list(network.parameters()))]
    assert all(a is b for a, b in zip(everything[0]["params"], network.parameters(), strict=True))


def test_a_depthwise_filter_without_gradient_does_not_shrink() -> None:
    network = mobilenet()
    optimizer = make_optimizer(network, Recipe(epochs=1, weight_decay=0.1, no_decay=("depthwise",)))
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        if parameter.dim() == 4:
            shrank = float(parameter.detach().norm()) < float(before[name].norm())
            assert shrank == (parameter.shape[1] != 1), name


def test_inceptions_rmsprop_has_an_epsilon_of_one() -> None:
    layer = nn.Linear(1, 1, bias=False)
    start_at = float(layer.weight.detach())
    recipe = load_recipe("inception").changed(weight_decay=0.0)
    optimizer = make_optimizer(layer, recipe)
    mean_square = velocity = 0.0
    for gradient in (0.5, -0.2, 0.9):
        layer.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        velocity = 0.9 * velocity + gradient / (math.sqrt(mean_square) + 1.0)
        start_at -= 0.045 * velocity
    assert float(layer.weight.detach()) == pytest.approx(start_at, rel=1e-5)


def test_zfnets_filters_are_clipped_to_their_radius() -> None:
    layer = nn.Conv2d(3, 4, 7)
    with torch.no_grad():
        layer.weight[0] *= 100
        layer.weight[1:] *= 0.1
    before = layer.weight.detach().clone()
    clip_filters(layer, 0.1)
    after = layer.weight.detach()
    assert float(after[0].square().mean().sqrt()) == pytest.approx(0.1, rel=1e-5)
    assert float(F.cosine_similarity(after[0].flatten(), before[0].flatten(), 0)) > 0.9999
    assert torch.equal(after[1:], before[1:])


def test_alexnet_starts_with_positive_biases_where_its_paper_says() -> None:
    network = build("alexnet", num_classes=10)
    torch.manual_seed(0)
    start(network, load_recipe("alexnet"))
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    biases = [float(layer.bias.detach().mean()) for layer in layers if layer.bias is not None]
    assert biases == [0, 1, 0, 1, 1, 1, 1, 0]  # five convolutions, three linear layers
    for layer in layers:
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("kind", "std"),
    [
        ("gaussian", 0.01),
        ("xavier", math.sqrt(2 / (64 * 9 + 128 * 9))),
        ("he", math.sqrt(2 / (128 * 9))),
        ("lecun", math.sqrt(1 / (64 * 9))),
    ],
)
def test_an_initialisation_has_its_spread(kind: str, std: float) -> None:
    layer = nn.Conv2d(64, 128, 3)
    start(layer, Recipe(epochs=1, initialisation=kind))  # type: ignore[arg-type]
    assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.02)
    assert not layer.bias.detach().any()


def test_dropout_takes_the_place_of_the_networks_own() -> None:
    alexnet = build("alexnet", num_classes=10)
    set_dropout(alexnet, 0.25)
    assert [m.p for m in alexnet.modules() if isinstance(m, nn.Dropout)] == [0.25, 0.25]
    googlenet = build("googlenet", num_classes=10)
    set_dropout(googlenet, 0.1)
    assert [m.p for m in googlenet.modules() if isinstance(m, nn.Dropout)] == [0.1, 0.7, 0.7]


def test_a_network_without_dropout_gets_it_in_training_alone() -> None:
    network, x = mobilenet(), torch.randn(4, 3, 32, 32)
    names = list(network.state_dict())
    plain = network.eval()(x)
    set_dropout(network, 0.5)
    assert list(network.state_dict()) == names
    assert torch.equal(network.eval()(x), plain)
    seen: list[torch.Tensor] = []
    last = [m for m in network.modules() if isinstance(m, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.train()(x)
    last(torch.ones(64, last.in_features))
    assert float((seen[-1] == 0).float().mean()) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(InputError, match="no classifier"):
        set_dropout(nn.Flatten(), 0.5)


def test_the_average_forgets_by_its_decay_and_sooner_at_first() -> None:
    network = nn.BatchNorm1d(1)
    average = averaged(network, 0.9)
    expected = None
    for n in range(200):
        network.weight.data.fill_(float(n % 7))
        network.running_mean.fill_(float(n % 5))
        decay = min(0.9, (1 + n) / (10 + n))
        if expected is None:
            expected = (n % 7 * 1.0, n % 5 * 1.0)  # the first is copied
        else:
            new = (n % 7, n % 5)
            expected = tuple(
                decay * e + (1 - decay) * v for e, v in zip(expected, new, strict=True)
            )
        average.update_parameters(network)
    found = (float(average.module.weight), float(average.module.running_mean))
    assert found == pytest.approx(expected, rel=1e-4)
    assert not any(p.requires_grad for p in average.parameters())


@pytest.mark.parametrize("kind", ["cross_entropy", "sse"])
def test_a_target_of_probabilities_is_one_of_classes_spread(kind: str) -> None:
    logits, targets = torch.randn(5, 4), torch.tensor([0, 3, 1, 2, 2])
    spread = F.one_hot(targets, 4).float()
    torch.testing.assert_close(
        classification_loss(logits, spread, kind, 0.1),
        classification_loss(logits, targets, kind, 0.1),
    )
    half = classification_loss(logits.bfloat16(), targets, kind)
    assert half.dtype == torch.float32


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bf16-mixed"), ((7, 5), "16-mixed"), (None, "32-true")]
)
def test_half_precision_is_what_the_gpu_has(
    capability: tuple[int, int] | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert fitting.precision(load_recipe("modern")) == expected
    assert fitting.precision(load_recipe("resnet")) == "32-true"
