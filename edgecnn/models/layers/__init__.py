"""Layers that papers share, and that users can build with."""

from edgecnn.models.layers.activation import Maxout, ScaledTanh
from edgecnn.models.layers.backward import input_gradient, weight_gradient
from edgecnn.models.layers.blocks import (
    Branches,
    Concat,
    DenseLayer,
    Fire,
    Inception,
    Residual,
    SqueezeExcitation,
)
from edgecnn.models.layers.connections import LocallyConnected2d, SparseConv
from edgecnn.models.layers.convolution import ConvBN, ConvReLU, SeparableConv, round_channels
from edgecnn.models.layers.fractal import Fractal, Join
from edgecnn.models.layers.initialization import he_init, lecun_init, random_statistics
from edgecnn.models.layers.losses import CrossEntropy, SumOfSquares
from edgecnn.models.layers.network import Auxiliaries, AuxiliaryLogits, ConvNet, ConvNetWithHeads
from edgecnn.models.layers.normalization import LocalResponseNorm
from edgecnn.models.layers.pooling import (
    AdaptivePool,
    GreyDilation,
    LpPool2d,
    Striding,
    Subsampling,
)
from edgecnn.models.layers.rbf import RBF, random_codes
from edgecnn.models.layers.unpooling import SwitchPool2d, Unpool2d

__all__ = [
    "RBF",
    "AdaptivePool",
    "Auxiliaries",
    "AuxiliaryLogits",
    "Branches",
    "Concat",
    "ConvBN",
    "ConvNet",
    "ConvNetWithHeads",
    "ConvReLU",
    "CrossEntropy",
    "DenseLayer",
    "Fire",
    "Fractal",
    "GreyDilation",
    "Inception",
    "Join",
    "LocalResponseNorm",
    "LocallyConnected2d",
    "LpPool2d",
    "Maxout",
    "Residual",
    "ScaledTanh",
    "SeparableConv",
    "SparseConv",
    "SqueezeExcitation",
    "Striding",
    "Subsampling",
    "SumOfSquares",
    "SwitchPool2d",
    "Unpool2d",
    "he_init",
    "input_gradient",
    "lecun_init",
    "random_codes",
    "random_statistics",
    "round_channels",
    "weight_gradient",
]
