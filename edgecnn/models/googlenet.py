"""GoogLeNet (Szegedy et al., 2015), Going deeper with convolutions, arXiv:1409.4842.

As printed, and with batch norm: the form whose weights are published.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import nn

from edgecnn.models.layers import (
    AdaptivePool,
    Branches,
    ConvBN,
    ConvNetWithHeads,
    ConvReLU,
    Inception,
    LocalResponseNorm,
    he_init,
)

# fmt: off
MODULES = {
    #         1x1  3x3: in out  5x5: in out pool
    "3a": Branches( 64,  96, 128,  16,  32,  32),
    "3b": Branches(128, 128, 192,  32,  96,  64),
    "4a": Branches(192,  96, 208,  16,  48,  64),
    "4b": Branches(160, 112, 224,  24,  64,  64),
    "4c": Branches(128, 128, 256,  24,  64,  64),
    "4d": Branches(112, 144, 288,  32,  64,  64),
    "4e": Branches(256, 160, 320,  32, 128, 128),
    "5a": Branches(256, 160, 320,  32, 128, 128),
    "5b": Branches(384, 192, 384,  48, 128, 128),
}
# fmt: on
HEADS = ("4a", "4d")  # which modules the auxiliary classifiers read
HEAD_WEIGHT = 0.3

ConvBNGoogLeNet = partial(ConvBN, eps=1e-3)


class GoogLeNet(ConvNetWithHeads):
    """Nine Inception modules, 22 layers deep, with two auxiliary classifiers in training.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes), AuxiliaryLogits in training; R is
    224 in the paper, at least 32.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        features = OrderedDict[str, nn.Module](
            conv1=ConvReLU(in_channels, 64, 7, stride=2),
            pool1=_halve(),
            norm1=LocalResponseNorm(k=1.0),
            conv2_reduce=ConvReLU(64, 64, 1),
            conv2=ConvReLU(64, 192),
            norm2=LocalResponseNorm(k=1.0),
            pool2=_halve(),
        )
        heads = _add_modules(features, Inception, {"4": _halve(), "5": _halve()})
        classifier = nn.Sequential(nn.Dropout(0.4), nn.Linear(1024, num_classes))
        super().__init__(
            nn.Sequential(features),
            classifier,
            {name: _head(ConvReLU(c, 128, 1), num_classes) for name, c in heads.items()},
            HEAD_WEIGHT,
        )
        he_init(self)


class GoogLeNetBN(ConvNetWithHeads):
    """GoogLeNet with batch norm, and 3x3 where the paper has 5x5.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes), AuxiliaryLogits in training; R is
    224 as published, at least 32.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        features = OrderedDict[str, nn.Module](
            conv1=ConvBNGoogLeNet(in_channels, 64, 7, 2),
            pool1=_halve(),
            conv2_reduce=ConvBNGoogLeNet(64, 64, 1),
            conv2=ConvBNGoogLeNet(64, 192),
            pool2=_halve(),
        )
        module = partial(Inception, conv=ConvBNGoogLeNet, largest=3)
        pools = {"4": _halve(), "5": nn.MaxPool2d(2, 2, ceil_mode=True)}
        heads = _add_modules(features, module, pools)
        classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1024, num_classes))
        super().__init__(
            nn.Sequential(features),
            classifier,
            {name: _head(ConvBNGoogLeNet(c, 128, 1), num_classes) for name, c in heads.items()},
            HEAD_WEIGHT,
        )
        he_init(self)


def _halve() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _add_modules(
    features: OrderedDict[str, nn.Module],
    module: Callable[[int, Branches], nn.Module],
    pools: dict[str, nn.Module],
) -> dict[str, int]:
    """Add the Inception modules, with a pooling where the number changes.

    Returns:
        Where the heads are, and how many channels they read.
    """
    channels, heads = 192, {}
    for name, branches in MODULES.items():
        if name[0] in pools and f"pool{name[0]}" not in features:
            features[f"pool{name[0]}"] = pools[name[0]]
        features[name] = module(channels, branches)
        channels = branches.outputs
        if name in HEADS:
            heads[name] = channels
    return heads


def _head(reduce: nn.Module, num_classes: int) -> nn.Sequential:
    """Pool to 4x4 (in the paper by windows of 5 every 3, which fit a map of 14 alone), reduce."""
    return nn.Sequential(
        AdaptivePool(4),
        reduce,
        nn.Flatten(),
        nn.Linear(128 * 4 * 4, 1024),
        nn.ReLU(inplace=True),
        nn.Dropout(0.7),
        nn.Linear(1024, num_classes),
    )
