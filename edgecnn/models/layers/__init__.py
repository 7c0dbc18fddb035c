"""Layers that papers share, and that users can build with."""

from edgecnn.models.layers.activation import Maxout, ScaledTanh
from edgecnn.models.layers.blocks import (
    Concat,
    DenseLayer,
    Fire,
    Inception,
    Residual,
    SqueezeExcitation,
)
from edgecnn.models.layers.convolution import ConvBN, ConvReLU, SeparableConv, round_channels
from edgecnn.models.layers.fractal import Fractal, Join
from edgecnn.models.layers.initialization import he_init, lecun_init, random_statistics
from edgecnn.models.layers.network import Auxiliaries, AuxiliaryLogits, ConvNet, ConvNetWithHeads
from edgecnn.models.layers.normalization import LocalResponseNorm
from edgecnn.models.layers.pooling import AdaptivePool, LpPool, Subsampling

__all__ = [
    "AdaptivePool",
    "Auxiliaries",
    "AuxiliaryLogits",
    "Concat",
    "ConvBN",
    "ConvNet",
    "ConvNetWithHeads",
    "ConvReLU",
    "DenseLayer",
    "Fire",
    "Fractal",
    "Inception",
    "Join",
    "LocalResponseNorm",
    "LpPool",
    "Maxout",
    "Residual",
    "ScaledTanh",
    "SeparableConv",
    "SqueezeExcitation",
    "Subsampling",
    "he_init",
    "lecun_init",
    "random_statistics",
    "round_channels",
]
