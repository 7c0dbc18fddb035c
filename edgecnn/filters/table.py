"""The filters that the command line knows by name, as `filter:NAME`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import nn

from edgecnn.filters import kernels
from edgecnn.filters.correlation import FilterBank, Pooled, Separable
from edgecnn.filters.shrinkage import Denoise
from edgecnn.filters.wavelets import Pyramid
from edgecnn_runtime.errors import unknown_name


class NamedFilter(NamedTuple):
    make: Callable[[], nn.Module]  # (N, C, H, W) on the scale 0 to 1 -> the same number of channels
    color: Literal["gray", "bgr"]  # of the frames that it takes and of its picture
    black: float  # the response that the picture shows as 0
    white: float  # and as 255
    help: str


def build_filter(name: str) -> nn.Module:
    """The module of a named filter.

    Raises:
        InputError: no such filter.
    """
    return named_filter(name).make()


def named_filter(name: str) -> NamedFilter:
    """A filter's row of the table.

    Raises:
        InputError: no such filter.
    """
    if name not in FILTERS:
        raise unknown_name("filter", name, FILTERS)
    return FILTERS[name]


def _blur(row: torch.Tensor) -> nn.Module:
    return Separable(row, row, boundary="extension")


def _gaussian(tau: float) -> Callable[[], nn.Module]:
    return lambda: _blur(kernels.gaussian_row(tau))


def _bank(bank: Callable[[], torch.Tensor], stride: int = 1) -> Callable[[], nn.Module]:
    return lambda: FilterBank(bank(), boundary="extension", stride=stride)


def _edges(
    bank: Callable[[], torch.Tensor], how: Literal["max", "norm"] = "norm"
) -> Callable[[], nn.Module]:
    return lambda: Pooled(FilterBank(bank(), boundary="extension"), how)


_DIAGONAL = math.pi / 4

# Where grey is nothing, nothing is the level 128: between two levels it would fall to either.
# Beyond the frame the nearest pixel goes on: zeros would draw an edge around every picture.
# fmt: off
FILTERS: dict[str, NamedFilter] = {
    #                             make, color, black, white, help
    "boxcar": NamedFilter(lambda: _blur(torch.full((9,), 1 / 9)),
                          "bgr", 0, 1, "mean of 9x9 pixels"),
    "boxcar_strided": NamedFilter(_bank(lambda: kernels.boxcar(3), stride=2),
                          "bgr", 0, 1, "mean of 3x3 pixels at every second place"),
    "gaussian": NamedFilter(_gaussian(3.0),
                          "bgr", 0, 1, "Gaussian of 3 pixels"),
    "gaussian_oriented": NamedFilter(_bank(lambda: kernels.oriented_gaussian(_DIAGONAL, 5.0, 1.0)),
                          "bgr", 0, 1, "Gaussian of 5 pixels along one diagonal and 1 across it"),
    "laplacian": NamedFilter(_bank(kernels.laplacian),
                          "gray", -64 / 127, 0.5, "second derivative; grey is none"),
    "gradient": NamedFilter(_edges(kernels.gradient),
                          "gray", 0, 0.5, "strength of the plain gradient"),
    "prewitt": NamedFilter(_edges(kernels.prewitt),
                          "gray", 0, 1.5, "strength of edges, Prewitt (1970)"),
    "prewitt_max": NamedFilter(_edges(kernels.prewitt, "max"),
                          "gray", 0, 1.5, "the stronger of vertical and horizontal edges"),
    "sobel": NamedFilter(_edges(kernels.sobel),
                          "gray", 0, 2, "strength of edges, Sobel (1968)"),
    "gabor": NamedFilter(_edges(lambda: kernels.gabor_bank(8, 0.15, 3.0), "max"),
                          "gray", 0, 3, "texture of 0.15 cycles a pixel in any of 8 directions"),
    "haar": NamedFilter(lambda: Pyramid(3, contrast=4),
                          "gray", -0.5 / 255, 254.5 / 255, "Haar wavelet, three scales"),
    "denoise": NamedFilter(lambda: Denoise(noise=0.04),
                          "bgr", 0, 1, "shrinkage in the undecimated Haar frame"),
}
# fmt: on
