"""What networks are made of, as layers and functions to reuse: pooling, normalisation, losses."""

from edgecnn.ingredients.activity import LayerActivity, activity
from edgecnn.ingredients.layers import LocallyConnected2d, LocalResponseNorm, Maxout
from edgecnn.ingredients.losses import CrossEntropy, SumOfSquares
from edgecnn.ingredients.pooling import GreyDilation, LpPool2d, Striding, SwitchPool2d, Unpool2d

__all__ = [
    "CrossEntropy",
    "GreyDilation",
    "LayerActivity",
    "LocalResponseNorm",
    "LocallyConnected2d",
    "LpPool2d",
    "Maxout",
    "Striding",
    "SumOfSquares",
    "SwitchPool2d",
    "Unpool2d",
    "activity",
]
