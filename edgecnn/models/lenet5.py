"""LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998), as printed.

Trainable subsampling, the sparse table of C3, and the radial basis functions with fixed codes.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from edgecnn.models.layers import (
    RBF,
    ConvNet,
    ScaledTanh,
    SparseConv,
    Subsampling,
    random_codes,
)

# Which of the six maps of S2 each of the sixteen maps of C3 sees (table I of the paper).
C3_TABLE = tuple(
    tuple(int(plane) for plane in row)
    for row in (
        *("012", "123", "234", "345", "045", "015"),
        *("0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235"),
        "012345",
    )
)

# A stylised digit of 7x12 pixels for each class, after figure 3 of the paper.
DIGITS = """
.#####. ...##.. .#####. #######  ....##. ####### ..####. ####### .#####. .#####.
##...## ..###.. ##...## .....##  ...###. ##..... .##.... ##...## ##...## ##...##
##...## .####.. .....## ....##.  ...###. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## ...##..  ..####. ##..... ##..... ....##. ##...## ##...##
##...## ...##.. ....##. ..####.  ..#.##. ##.###. ##.###. ....##. .##.##. ##...##
##...## ...##.. ...##.. .....##  .##.##. ###..## ###..## ...##.. ..###.. .######
##...## ...##.. ..##... .....##  .#..##. .....## ##...## ...##.. .##.##. ..##.##
##...## ...##.. .##.... .....##  ##..##. .....## ##...## ...##.. ##...## .....##
##...## ...##.. ##..... .....##  ####### .....## ##...## ..##... ##...## .....##
##...## ...##.. ##..... ##...##  ....##. ##...## ##...## ..##... ##...## ....##.
##...## ...##.. ##..... ##...##  ....##. ##...## ##...## ..##... ##...## ...##..
.#####. .###### ####### .#####.  ....##. .#####. .#####. ..##... .#####. .###...
"""


def digit_codes() -> torch.Tensor:
    """The ten bitmaps as (10, 84) of ±1."""
    rows = [line.split() for line in DIGITS.split("\n") if line]
    bitmaps = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if c == "#" else -1.0 for c in bitmap] for bitmap in bitmaps])


class LeNet5(ConvNet):
    """LeNet-5 with 60,000 trainable parameters.

    Ten classes have the paper's bitmaps as their codes; other counts have seeded random ones.

    Args:
        num_classes: length of the logits.
        in_channels: 1; the paper's network is for grey images.

    Shape: (N, 1, 32, 32) float32 -> (N, num_classes). Larger inputs are averaged over C5's map,
    the paper's space displacement; smaller ones are an error.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),  # C1: 28x28
            ScaledTanh(),
            Subsampling(6),  # S2: 14x14
            ScaledTanh(),
            SparseConv(C3_TABLE, inputs=6, kernel=5),  # C3: 10x10
            ScaledTanh(),
            Subsampling(16),  # S4: 5x5
            ScaledTanh(),
            nn.Conv2d(16, 120, 5),  # C5: 1x1
            ScaledTanh(),
        )
        codes = digit_codes() if num_classes == 10 else random_codes(num_classes, 84)
        classifier = nn.Sequential(nn.Linear(120, 84), ScaledTanh(), RBF(codes))
        super().__init__(features, classifier)
        self.apply(_init)


def _init(module: nn.Module) -> None:
    """Uniform within 2.4 / fan-in, as the paper has it."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        bound = 2.4 / math.prod(module.weight.shape[1:])
        nn.init.uniform_(module.weight, -bound, bound)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
