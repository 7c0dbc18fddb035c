"""Inception v4 (Szegedy et al., 2017), https://arxiv.org/abs/1602.07261."""

from __future__ import annotations

from functools import partial

from torch import nn

from edgecnn.models.layers import Concat, ConvBN, ConvNet, he_init

Conv = partial(ConvBN, eps=1e-3)
Valid = partial(Conv, padding=0)
ROW, COLUMN = (1, 7), (7, 1)


class InceptionV4(ConvNet):
    """A stem that branches, then 4, 7 and 3 Inception modules with reductions between.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 299 in the paper, at least 75.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        features = nn.Sequential(
            *_stem(in_channels),
            *(_module_a() for _ in range(4)),
            _reduction_a(),
            *(_module_b() for _ in range(7)),
            _reduction_b(),
            *(_module_c() for _ in range(3)),
        )
        classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1536, num_classes))
        super().__init__(features, classifier)
        he_init(self)


def _stem(in_channels: int) -> list[nn.Module]:
    return [
        Valid(in_channels, 32, 3, 2),  # 149
        Valid(32, 32, 3),
        Conv(32, 64, 3),
        Concat(nn.MaxPool2d(3, 2), Valid(64, 96, 3, 2)),  # 73, 160 channels
        Concat(
            nn.Sequential(Conv(160, 64, 1), Valid(64, 96, 3)),
            nn.Sequential(
                Conv(160, 64, 1), Conv(64, 64, ROW), Conv(64, 64, COLUMN), Valid(64, 96, 3)
            ),
        ),  # 71, 192 channels
        Concat(Valid(192, 192, 3, 2), nn.MaxPool2d(3, 2)),  # 35, 384 channels
    ]


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), Conv(inputs, outputs, 1))


def _module_a() -> Concat:
    """35x35, 384 channels."""
    return Concat(
        Conv(384, 96, 1),
        nn.Sequential(Conv(384, 64, 1), Conv(64, 96, 3)),
        nn.Sequential(Conv(384, 64, 1), Conv(64, 96, 3), Conv(96, 96, 3)),
        _pooled(384, 96),
    )


def _reduction_a() -> Concat:
    return Concat(
        Valid(384, 384, 3, 2),
        nn.Sequential(Conv(384, 192, 1), Conv(192, 224, 3), Valid(224, 256, 3, 2)),
        nn.MaxPool2d(3, 2),
    )


def _module_b() -> Concat:
    """17x17, 1024 channels."""
    return Concat(
        Conv(1024, 384, 1),
        nn.Sequential(Conv(1024, 192, 1), Conv(192, 224, ROW), Conv(224, 256, COLUMN)),
        nn.Sequential(
            Conv(1024, 192, 1), Conv(192, 192, COLUMN), Conv(192, 224, ROW),
            Conv(224, 224, COLUMN), Conv(224, 256, ROW),
        ),
        _pooled(1024, 128),
    )  # fmt: skip


def _reduction_b() -> Concat:
    return Concat(
        nn.Sequential(Conv(1024, 192, 1), Valid(192, 192, 3, 2)),
        nn.Sequential(
            Conv(1024, 256, 1), Conv(256, 256, ROW), Conv(256, 320, COLUMN), Valid(320, 320, 3, 2)
        ),
        nn.MaxPool2d(3, 2),
    )


def _module_c() -> Concat:
    """8x8, 1536 channels."""

    def fan(inputs: int) -> Concat:
        return Concat(Conv(inputs, 256, (1, 3)), Conv(inputs, 256, (3, 1)))

    return Concat(
        Conv(1536, 256, 1),
        nn.Sequential(Conv(1536, 384, 1), fan(384)),
        nn.Sequential(Conv(1536, 384, 1), Conv(384, 448, (3, 1)), Conv(448, 512, (1, 3)), fan(512)),
        _pooled(1536, 256),
    )
