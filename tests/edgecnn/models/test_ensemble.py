"""An ensemble answers with the mean of its members' probabilities over members and crops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.models import build
from edgecnn.models.cost import cost
from edgecnn.models.ensemble import CROPS, Ensemble, Renormalised
from edgecnn_runtime.errors import InputError

SIZE = (48, 48)


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """Three crops of colour photographs, (3, 3, 56, 60)."""
    frames = [frame[20:76, 10:70] for frame in colour_crops(3)]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 127.5 - 1


@pytest.fixture(scope="module")
def members(photographs: torch.Tensor) -> list[nn.Module]:
    """Three networks of chance, each with an opinion of its own on each crop."""
    torch.manual_seed(0)
    named = [("mobilenet_v1", 0.25), ("mobilenet_v2", 0.25), ("squeezenet1_1", 1.0)]
    networks = [build(name, width=width, num_classes=5) for name, width in named]
    for network in networks:
        with torch.no_grad():
            network(photographs)  # batch norm learns its statistics
        output = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]
        nn.init.normal_(output.weight)
    return [network.eval() for network in networks]


@torch.no_grad()
def mean_of(members: list[nn.Module], parts: list[torch.Tensor]) -> torch.Tensor:
    """The mean by hand: each member on each crop alone."""
    return torch.stack([m(part).softmax(1) for m in members for part in parts]).mean(0)


@torch.no_grad()
def answer(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return network(x).softmax(1)


def test_the_members_do_not_agree(members: list[nn.Module], photographs: torch.Tensor) -> None:
    """Or the other tests here would prove nothing."""
    alone = [mean_of([m], [photographs[..., :48, :48]]) for m in members]
    assert min((a - b).abs().max() for a, b in pairwise(alone)) > 0.05
    parts = [photographs[..., :48, :48], photographs[..., -48:, -48:]]
    assert (mean_of(members, parts[:1]) - mean_of(members, parts[1:])).abs().max() > 0.05


def test_the_middle_is_answered_with_the_mean_of_the_members(
    members: list[nn.Module], photographs: torch.Tensor
) -> None:
    middle = photographs[..., 4:52, 6:54]
    ensemble = Ensemble(members, SIZE)
    assert torch.allclose(answer(ensemble, photographs), mean_of(members, [middle]), atol=1e-6)
    assert torch.allclose(answer(ensemble, middle), mean_of(members, [middle]), atol=1e-6)


def test_ten_crops_are_the_corners_the_middle_and_their_mirror_images(
    members: list[nn.Module], photographs: torch.Tensor
) -> None:
    x = photographs
    five = [
        x[..., 0:48, 0:48],
        x[..., 0:48, 12:60],
        x[..., 8:56, 0:48],
        x[..., 8:56, 12:60],
        x[..., 4:52, 6:54],
    ]
    mirrored = [part[..., range(47, -1, -1)] for part in five]
    wanted = {
        "center": five[4:],
        "flip": [five[4], mirrored[4]],
        "five": five,
        "ten": five + mirrored,
    }
    assert set(wanted) == set(CROPS)
    for crops, parts in wanted.items():
        found = answer(Ensemble(members, SIZE, crops), x)
        assert torch.allclose(found, mean_of(members, parts), atol=1e-6), crops
        assert len(parts) == CROPS[crops]


@pytest.mark.parametrize(("crops", "same"), [("five", False), ("flip", True), ("ten", True)])
def test_a_mirrored_picture_has_the_same_answer_where_mirrors_count(
    crops: str, same: bool, members: list[nn.Module], photographs: torch.Tensor
) -> None:
    ensemble = Ensemble(members, SIZE, crops)
    seen, mirrored = (answer(ensemble, x) for x in (photographs, photographs.flip(-1)))
    assert torch.allclose(seen, mirrored, atol=1e-6) == same


def test_a_member_may_have_a_larger_share(
    members: list[nn.Module], photographs: torch.Tensor
) -> None:
    middle = photographs[..., 4:52, 6:54]
    a, b = (mean_of([m], [middle]) for m in members[:2])
    found = answer(Ensemble(members[:2], SIZE, shares=(3, 1)), photographs)
    assert torch.allclose(found, 0.75 * a + 0.25 * b, atol=1e-6)


class Certain(nn.Module):
    """Sure of one class of three beyond what float32 can say of the others."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.eye(3)[index] * 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), 3)


def test_a_class_that_all_exclude_has_a_finite_logarithm(photographs: torch.Tensor) -> None:
    ensemble = Ensemble([Certain(0), Certain(2)], SIZE)
    assert ensemble(photographs).isfinite().all()
    mean = torch.tensor([0.5, 0, 0.5]).expand(3, 3)
    assert torch.allclose(answer(ensemble, photographs), mean)


def test_a_member_with_another_normalisation_sees_its_own(photographs: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = build("mobilenet_v1", width=0.25, num_classes=5).eval()
    given = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    own = ((0.5, 0.1, 0.3), (0.5, 0.25, 1.0))
    pixels = (photographs + 1) / 2

    def normalised(mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
        return (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]

    found = Renormalised(network, given, own)(normalised(*given))
    assert torch.allclose(found, network(normalised(*own)), atol=1e-5)
    assert not torch.allclose(network(normalised(*given)), network(normalised(*own)), atol=1e-2)


def test_it_stays_in_evaluation_mode_and_runs_no_auxiliary_heads(
    photographs: torch.Tensor,
) -> None:
    torch.manual_seed(0)
    network = build("googlenet", num_classes=5).train()  # with dropout and two heads
    ensemble = Ensemble([network], SIZE).train()
    assert not any(m.training for m in ensemble.modules())
    assert torch.equal(answer(ensemble, photographs), answer(ensemble, photographs))


def test_it_costs_what_its_members_cost_on_every_crop() -> None:
    with torch.device("meta"):
        members = [build("mobilenet_v1", width=0.25), build("squeezenet1_1")]
    alone = [cost(m, (3, *SIZE)) for m in members]
    together = cost(Ensemble(members, SIZE, "ten"), (3, 56, 60))
    assert together.macs == 10 * sum(size.macs for size in alone)
    assert together.activations == 10 * sum(size.activations for size in alone)
    assert together.parameters == sum(size.parameters for size in alone)
    assert together.peak_activation_bytes > 9 * max(size.peak_activation_bytes for size in alone)
    assert together.receptive_field is None


def test_what_cannot_be_is_refused(members: list[nn.Module], photographs: torch.Tensor) -> None:
    with pytest.raises(InputError, match="no networks"):
        Ensemble([], SIZE)
    with pytest.raises(InputError, match="did you mean 'center'"):
        Ensemble(members, SIZE, "centre")
    for shares in ((1, 2), (1, 2, 0), ()):
        with pytest.raises(InputError, match="of 3 members; expected a number above 0"):
            Ensemble(members, SIZE, shares=shares)
    with pytest.raises(InputError, match="images of 40x60; expected at least the members' 48x48"):
        Ensemble(members, SIZE, "five")(photographs[..., :40, :])
