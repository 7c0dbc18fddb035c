"""LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998), as printed.

Trainable subsampling, the sparse table of C3, and the radial basis functions with fixed codes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.layers import ConvNet, ScaledTanh, Subsampling

# Which of the six maps of S2 each of the sixteen maps of C3 sees (table I of the paper).
C3_TABLE = (
    *("012", "123", "234", "345", "045", "015"),
    *("0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235"),
    "012345",
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


class SparseConv(nn.Module):
    """5x5 convolution in which each output map sees only the input maps of a table: C3.

    The weight holds one kernel per connection, so nothing trains that the paper does not have.

    Shape: (N, 6, H, W) -> (N, 16, H - 4, W - 4).
    """

    index: torch.Tensor

    def __init__(self, table: tuple[str, ...] = C3_TABLE, inputs: int = 6, kernel: int = 5) -> None:
        super().__init__()
        connections = sum(len(row) for row in table)
        self.weight = nn.Parameter(torch.empty(connections, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        # Where each dense kernel stands among the connections; the last entry is a kernel of zeros.
        index = torch.full((len(table), inputs), connections)
        numbers = iter(range(connections))
        for output, row in enumerate(table):
            for char in row:
                index[output, int(char)] = next(numbers)
        self.register_buffer("index", index, persistent=False)
        start = 0
        for row in table:
            bound = 2.4 / (len(row) * kernel**2)
            nn.init.uniform_(self.weight.data[start : start + len(row)], -bound, bound)
            start += len(row)

    def dense_weight(self) -> torch.Tensor:
        """The kernels at their places in a dense weight: (16, 6, 5, 5), zeros between."""
        zeros = self.weight.new_zeros(1, *self.weight.shape[1:])
        dense: torch.Tensor = torch.cat([self.weight, zeros])[self.index]
        return dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.dense_weight(), self.bias)

    def macs(self, output: torch.Size) -> int:
        """Multiply-accumulates for one image: only the connections count."""
        return self.weight.numel() * output[-2] * output[-1]


class RBF(nn.Module):
    """Squared distance to each class's code, y_j = sum_i (h_i - w_ij)², with fixed codes of ±1.

    The logits are -y / 10: with -y alone the softmax saturates and training stalls at 90 to 95%.
    Ten classes have the paper's bitmaps; other counts have seeded random codes.

    Shape: (N, 84) -> (N, num_classes).
    """

    codes: torch.Tensor
    temperature = 10.0

    def __init__(self, num_classes: int = 10, inputs: int = 84) -> None:
        super().__init__()
        self.register_buffer("codes", digit_codes() if num_classes == 10 else _codes(num_classes))
        assert self.codes.shape == (num_classes, inputs)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        distance = (h[:, None, :] - self.codes).square().sum(-1)
        return -distance / self.temperature


def digit_codes() -> torch.Tensor:
    """The ten bitmaps as (10, 84) of ±1."""
    rows = [line.split() for line in DIGITS.split("\n") if line]
    bitmaps = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if c == "#" else -1.0 for c in bitmap] for bitmap in bitmaps])


def _codes(num_classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(84)
    return torch.randint(0, 2, (num_classes, 84), generator=generator) * 2.0 - 1.0


class LeNet5(ConvNet):
    """LeNet-5 with 60,000 trainable parameters.

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
            SparseConv(),  # C3: 10x10
            ScaledTanh(),
            Subsampling(16),  # S4: 5x5
            ScaledTanh(),
            nn.Conv2d(16, 120, 5),  # C5: 1x1
            ScaledTanh(),
        )
        classifier = nn.Sequential(nn.Linear(120, 84), ScaledTanh(), RBF(num_classes))
        super().__init__(features, classifier)
        self.apply(_init)


def _init(module: nn.Module) -> None:
    """Uniform within 2.4 / fan-in, as the paper has it."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        bound = 2.4 / math.prod(module.weight.shape[1:])
        nn.init.uniform_(module.weight, -bound, bound)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
