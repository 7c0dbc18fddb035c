"""Inception v3 (Szegedy et al., 2016), https://arxiv.org/abs/1512.00567."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from edgecnn.models.layers import AdaptivePool, Concat, ConvBN, ConvNetWithHeads, he_init

HEAD_WEIGHT = 0.4  # the authors' code; the paper does not say

Conv = partial(ConvBN, eps=1e-3)
ROW, COLUMN = (1, 7), (7, 1)


class InceptionV3(ConvNetWithHeads):
    """Inception with 7x7 factored into rows and columns, and one auxiliary classifier.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes), AuxiliaryLogits in training; R is
    299 in the paper, at least 75.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        features = OrderedDict[str, nn.Module](
            {
                "1a": Conv(in_channels, 32, 3, 2, padding=0),  # 149
                "2a": Conv(32, 32, 3, padding=0),
                "2b": Conv(32, 64, 3),
                "pool3": nn.MaxPool2d(3, 2),  # 73
                "3b": Conv(64, 80, 1),
                "4a": Conv(80, 192, 3, padding=0),
                "pool5": nn.MaxPool2d(3, 2),  # 35
                "5b": _fives(192, 32),
                "5c": _fives(256, 64),
                "5d": _fives(288, 64),
                "6a": _to_17(288),
                "6b": _sevens(128),
                "6c": _sevens(160),
                "6d": _sevens(160),
                "6e": _sevens(192),
                "7a": _to_8(768),
                "7b": _fans(1280),
                "7c": _fans(2048),
            }
        )
        classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(2048, num_classes))
        head = nn.Sequential(
            AdaptivePool(5),
            Conv(768, 128, 1),
            Conv(128, 768, 5, padding=0),  # 1x1
            nn.Flatten(),
            nn.Linear(768, num_classes),
        )
        super().__init__(nn.Sequential(features), classifier, {"6e": head}, HEAD_WEIGHT)
        he_init(self)


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), Conv(inputs, outputs, 1))


def _fives(inputs: int, pool: int) -> Concat:
    """35x35: 1x1, 5x5, two 3x3, pooling."""
    return Concat(
        Conv(inputs, 64, 1),
        nn.Sequential(Conv(inputs, 48, 1), Conv(48, 64, 5)),
        nn.Sequential(Conv(inputs, 64, 1), Conv(64, 96, 3), Conv(96, 96, 3)),
        _pooled(inputs, pool),
    )


def _to_17(inputs: int) -> Concat:
    return Concat(
        Conv(inputs, 384, 3, 2, padding=0),
        nn.Sequential(Conv(inputs, 64, 1), Conv(64, 96, 3), Conv(96, 96, 3, 2, padding=0)),
        nn.MaxPool2d(3, 2),
    )


def _sevens(c: int) -> Concat:
    """17x17: 1x1, 7x7 once, 7x7 twice, pooling; each 7x7 as a row and a column."""
    return Concat(
        Conv(768, 192, 1),
        nn.Sequential(Conv(768, c, 1), Conv(c, c, ROW), Conv(c, 192, COLUMN)),
        nn.Sequential(
            Conv(768, c, 1), Conv(c, c, COLUMN), Conv(c, c, ROW), Conv(c, c, COLUMN),
            Conv(c, 192, ROW),
        ),
        _pooled(768, 192),
    )  # fmt: skip


def _to_8(inputs: int) -> Concat:
    return Concat(
        nn.Sequential(Conv(inputs, 192, 1), Conv(192, 320, 3, 2, padding=0)),
        nn.Sequential(
            Conv(inputs, 192, 1), Conv(192, 192, ROW), Conv(192, 192, COLUMN),
            Conv(192, 192, 3, 2, padding=0),
        ),
        nn.MaxPool2d(3, 2),
    )  # fmt: skip


def _fans(inputs: int) -> Concat:
    """8x8: branches that end in a row and a column side by side."""

    def fan() -> Concat:
        return Concat(Conv(384, 384, (1, 3)), Conv(384, 384, (3, 1)))

    return Concat(
        Conv(inputs, 320, 1),
        nn.Sequential(Conv(inputs, 384, 1), fan()),
        nn.Sequential(Conv(inputs, 448, 1), Conv(448, 384, 3), fan()),
        _pooled(inputs, 192),
    )
