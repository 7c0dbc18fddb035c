"""The output layer of distances to codes."""

from __future__ import annotations

import pytest
import torch

from edgecnn.models.layers import RBF, random_codes
from edgecnn_runtime.errors import InputError


def test_the_logits_are_squared_distances_to_the_codes() -> None:
    codes, h = torch.tensor([[1.0, -1, 1], [-1, -1, 1]]), torch.tensor([[1.0, -1, 1], [0, 2, 0]])
    distance = torch.tensor([[0.0, 4], [11, 11]])  # sum_i (h_i - w_ij)²
    torch.testing.assert_close(RBF(codes, temperature=1)(h), -distance)
    torch.testing.assert_close(RBF(codes)(h), -distance / 10)


def test_the_most_probable_class_has_the_nearest_code() -> None:
    codes = random_codes(7, 20)
    h = codes + 0.3 * torch.randn(7, 20)
    assert torch.equal(RBF(codes)(h).softmax(1).argmax(1), torch.arange(7))


def test_codes_are_saved_with_the_network_and_do_not_train() -> None:
    layer = RBF(random_codes(4, 12))
    assert list(layer.state_dict()) == ["codes"]
    assert not list(layer.parameters())


def test_random_codes_are_the_same_every_time_and_differ_by_class() -> None:
    assert torch.equal(random_codes(26, 84), random_codes(26, 84))
    assert random_codes(26, 84).unique(dim=0).shape[0] == 26
    assert set(random_codes(26, 84).unique().tolist()) == {-1.0, 1.0}


def test_codes_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"codes of shape \(84,\)"):
        RBF(torch.ones(84))
