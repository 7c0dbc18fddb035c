"""The filters that the command line knows by name, as `filter:NAME`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from edgecnn.filters import kernels
from edgecnn.filters.correlation import FilterBank, Pooled, Separable
from edgecnn.filters.named import NamedFilter
from edgecnn.filters.shrinkage import Denoise
from edgecnn.filters.wavelets import FrameTiles, HaarFrame, Pyramid
from edgecnn_runtime.errors import unknown_name


def build_filter(name: str, **settings: float) -> nn.Module:
    """The module of a named filter.

    Args:
        settings: those of its row in `FILTERS` that are to be others.

    Raises:
        InputError: no such filter or setting, or a value out of range.
    """
    return named_filter(name).build(**settings)


def named_filter(name: str) -> NamedFilter:
    """A filter's row of the table.

    Raises:
        InputError: no such filter.
    """
    if name not in FILTERS:
        raise unknown_name("filter", name, FILTERS, "; 'edgecnn models filter:' tells what they do")
    return FILTERS[name]


# Beyond the frame the nearest pixel goes on: zeros would draw an edge around every picture.
def _bank(bank: torch.Tensor, stride: int = 1) -> FilterBank:
    return FilterBank(bank, boundary="extension", stride=stride)


def _blur(row: torch.Tensor) -> nn.Module:
    return Separable(row, row, boundary="extension")


def _one(bank: Callable[[], torch.Tensor], which: int) -> Callable[[], nn.Module]:
    return lambda: _bank(bank()[which])


def _edges(
    bank: Callable[[], torch.Tensor], how: Literal["max", "norm"] = "norm"
) -> Callable[[], nn.Module]:
    return lambda: Pooled(_bank(bank()), how)


def _oriented(angle: float, along: float, across: float) -> nn.Module:
    return _bank(kernels.oriented_gaussian(math.radians(angle), along, across))


def _gabor(directions: int, frequency: float, tau: float) -> nn.Module:
    bank = kernels.gabor_bank(directions, frequency, tau)
    return Pooled(_bank(_of_waves(bank, tau)), "max")


def _gabor_oriented(angle: float, frequency: float, tau: float) -> nn.Module:
    one = kernels.gabor_bank(1, frequency, tau, start=math.radians(angle))
    return _bank(_of_waves(one, tau))


def _of_waves(gabor: torch.Tensor, tau: float) -> torch.Tensor:
    """Scaled so that a wave of its own direction and frequency is answered with its amplitude."""
    return gabor * (2 / kernels.gabor(0.0, 0.0, tau).sum())


def _denoise(noise: float, strength: float, levels: int) -> nn.Module:
    return Denoise(noise, HaarFrame(levels), strength=strength)


def _signed(largest: float) -> tuple[float, float]:
    """Black and white of a response for which grey is nothing: the level 128, not between two."""
    return -largest * 128 / 127, largest


_DETAILS = -0.5 / 255, 254.5 / 255  # what a wavelet draws at 0.5 is the level 128 too

# fmt: off
FILTERS: dict[str, NamedFilter] = {
    # make, settings, color, black, white, help
    "boxcar": NamedFilter(
        lambda size: _blur(kernels.boxcar_row(size)), {"size": 9},
        "bgr", 0, 1, "mean of {size}x{size} pixels"),
    "boxcar_strided": NamedFilter(
        lambda size, stride: _bank(kernels.boxcar(size), stride), {"size": 3, "stride": 2},
        "bgr", 0, 1, "mean of {size}x{size} pixels at one place in {stride} down and across"),
    "gaussian": NamedFilter(
        lambda tau: _blur(kernels.gaussian_row(tau)), {"tau": 3.0},
        "bgr", 0, 1, "Gaussian of {tau:g} pixels"),
    "gaussian_oriented": NamedFilter(
        _oriented, {"angle": 45.0, "along": 4.0, "across": 1.0},
        "bgr", 0, 1, "Gaussian of {along:g} pixels along {angle:g} degrees and {across:g} across"),
    "laplacian": NamedFilter(
        lambda: _bank(kernels.laplacian()), {},
        "gray", *_signed(0.5), "second derivative; grey is none"),
    "gradient": NamedFilter(
        _edges(kernels.gradient), {},
        "gray", 0, 0.5, "strength of the plain gradient"),
    "prewitt": NamedFilter(
        _edges(kernels.prewitt), {},
        "gray", 0, 1.5, "strength of edges, Prewitt (1970)"),
    "prewitt_max": NamedFilter(
        _edges(kernels.prewitt, "max"), {},
        "gray", 0, 1.5, "the stronger of vertical and horizontal edges"),
    "prewitt_vertical": NamedFilter(
        _one(kernels.prewitt, 0), {},
        "gray", *_signed(1.5), "vertical edges, bright where it brightens to the right"),
    "prewitt_horizontal": NamedFilter(
        _one(kernels.prewitt, 1), {},
        "gray", *_signed(1.5), "horizontal edges, bright where it brightens downwards"),
    "sobel": NamedFilter(
        _edges(kernels.sobel), {},
        "gray", 0, 2, "strength of edges, Sobel (1968)"),
    "sobel_vertical": NamedFilter(
        _one(kernels.sobel, 0), {},
        "gray", *_signed(2), "vertical edges, bright where it brightens to the right"),
    "sobel_horizontal": NamedFilter(
        _one(kernels.sobel, 1), {},
        "gray", *_signed(2), "horizontal edges, bright where it brightens downwards"),
    "gabor": NamedFilter(
        _gabor, {"directions": 8, "frequency": 0.15, "tau": 3.0},
        "gray", 0, 0.15, "waves of {frequency:g} cycles a pixel in {directions} directions"),
    "gabor_oriented": NamedFilter(
        _gabor_oriented, {"angle": 90.0, "frequency": 0.15, "tau": 3.0},
        "gray", *_signed(0.15), "waves of {frequency:g} cycles a pixel along {angle:g} degrees"),
    "haar": NamedFilter(
        Pyramid, {"levels": 3, "contrast": 4.0},
        "gray", *_DETAILS, "Haar wavelet, {levels} scales"),
    "haar_frame": NamedFilter(
        FrameTiles, {"level": 2, "contrast": 4.0},
        "gray", *_DETAILS, "undecimated Haar frame, scale {level}"),
    "denoise": NamedFilter(
        _denoise, {"noise": 0.04, "strength": 1.5, "levels": 3},
        "bgr", 0, 1, "noise of {noise:g} of white taken out by shrinkage in the Haar frame"),
}
# fmt: on
