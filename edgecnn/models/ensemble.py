"""Several trained networks, several crops of the picture, one answer.

Krizhevsky, Sutskever, Hinton (2012), ImageNet classification with deep CNNs, averages the softmax
of seven networks over ten crops; He et al. (2016) and CUImage, first of the 2016 challenge, combine
networks in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from edgecnn_runtime.errors import InputError, unknown_name

# How many crops of the picture each member answers for.
CROPS = {
    "center": 1,  # the middle
    "flip": 2,  # the middle and its mirror image
    "five": 5,  # the middle and the corners
    "ten": 10,  # these and their mirror images
}


class Ensemble(nn.Module):
    """The mean of the members' probabilities over members and crops.

    For inference alone: the members are trained already, so it stays in evaluation mode whatever
    `train` says, and auxiliary heads do not run.

    Args:
        members: networks float (N, C, h, w) -> logits (N, classes), of the same classes.
        size: (h, w) that the members take.
        crops: one of `CROPS`; all of them are one batch, so that a graph holds each member once.
        shares: of each member in the mean, above 0, in any unit; equal by default.

    Shape: (N, C, H, W) float32, at least (h, w) -> (N, classes): logarithms of the mean
    probabilities, which a softmax turns into these probabilities.

    Raises:
        InputError: no members, an unknown crop scheme, shares that do not fit, an input that is
            smaller than a crop.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        size: tuple[int, int],
        crops: str = "center",
        shares: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not members:
            raise InputError("an ensemble of no networks; expected at least one")
        if crops not in CROPS:
            raise unknown_name("crop scheme", crops, CROPS)
        given = [1.0] * len(members) if shares is None else list(shares)
        if len(given) != len(members) or not all(share > 0 for share in given):
            raise InputError(
                f"shares {given} of {len(members)} members; expected a number above 0 for each"
            )
        self.members = nn.ModuleList(members)
        self.size, self.crops = size, crops
        self.shares = tuple(share / sum(given) for share in given)
        self.eval()

    def train(self, mode: bool = True) -> Ensemble:
        """Does nothing but keep the evaluation mode."""
        return super().train(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = cut(x, self.size, self.crops)  # (crops · N, C, h, w)
        count = CROPS[self.crops]
        logs = [  # each (crops · N, classes)
            member(x).log_softmax(1) + math.log(share / count)
            for member, share in zip(self.members, self.shares, strict=True)
        ]
        # What follows a network is a softmax, and softmax(log p) = p / sum(p) = p: the mean comes
        # out of it as it went in. The sum is taken of logarithms, since a class that all members
        # exclude has a probability of 0 in float32, and log(0) is no number.
        every = torch.cat(logs)
        log_mean: torch.Tensor = every.view(count * len(logs), -1, int(every.shape[1])).logsumexp(0)
        return log_mean


def cut(x: torch.Tensor, size: tuple[int, int], crops: str) -> torch.Tensor:
    """The crops of each image as one batch.

    Args:
        x: (N, C, H, W).
        size: (h, w) of a crop.
        crops: one of `CROPS`.

    Returns:
        (crops · N, C, h, w): the first crop of all images, then the second.

    Raises:
        InputError: images smaller than a crop.
    """
    height, width = size
    # int(): under tracing a size is a tensor, and here it is a constant of the graph.
    down, across = int(x.shape[-2]) - height, int(x.shape[-1]) - width
    if min(down, across) < 0:
        raise InputError(
            f"images of {int(x.shape[-2])}x{int(x.shape[-1])}; expected at least the members'"
            f" {height}x{width}"
        )
    corners = [(round(down / 2), round(across / 2))]  # the middle, as `preprocess` rounds it
    if crops in ("five", "ten"):
        corners += [(0, 0), (0, across), (down, 0), (down, across)]
    parts = [x[..., top : top + height, left : left + width] for top, left in corners]
    if crops in ("flip", "ten"):
        parts += [part.flip(-1) for part in parts]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


class Renormalised(nn.Module):
    """A network on an input that was normalised with another mean and std than its own.

    Args:
        network: what was trained on (x - own mean) / own std.
        given, own: (mean, std), a value for each channel.

    Shape: that of the network.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        given: tuple[Sequence[float], Sequence[float]],
        own: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        super().__init__()
        self.network = network
        # In float64: the numbers are constants of the graph, and their rounding is not undone.
        (mean, std), (own_mean, own_std) = (
            (torch.tensor(m, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
            for m, s in (given, own)
        )
        self.register_buffer("scale", (std / own_std).float()[:, None, None])
        self.register_buffer("shift", ((mean - own_mean) / own_std).float()[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.network(x * self.scale + self.shift)
        return answer
