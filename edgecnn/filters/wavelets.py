"""The Haar wavelet (Haar, 1901): an orthogonal bank in cascade, and the redundant frame of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from edgecnn.filters.images import as_numbers, check_images
from edgecnn_runtime.errors import InputError

DEEPEST = 10  # levels: a pixel of the coarsest stands for 1,024 on a side


class Details(NamedTuple):
    """The differences of one scale: of rows, of columns, of both; (N, C, H', W') each.

    Attributes:
        horizontal: differences down, which horizontal edges answer to; PyWavelets' cH.
        vertical: differences across; cV.
        diagonal: both; cD.
    """

    horizontal: torch.Tensor
    vertical: torch.Tensor
    diagonal: torch.Tensor


class Coefficients(NamedTuple):
    """A multi-scale analysis: what is left at the coarsest scale, and the details, finest first.

    Attributes:
        size: (H, W) of the image, which odd sides need to be restored.
    """

    approximation: torch.Tensor
    details: tuple[Details, ...]
    size: tuple[int, int]

    def tensors(self) -> list[torch.Tensor]:
        """All of them; an image's energy is the sum of theirs."""
        return [self.approximation, *(band for scale in self.details for band in scale)]


class HaarWavelet(nn.Module):
    """Multi-scale analysis by the orthogonal Haar bank with decimation (Mallat, 1989).

    As many coefficients as pixels, the same energy, and `synthesis` restores the image exactly. The
    last row or column of an odd side is repeated first, as PyWavelets' `symmetric` does; energy is
    then that of the enlarged image.

    Args:
        levels: scales, each of half the size.

    Shape: (N, C, H, W) -> approximation (N, C, H / 2^levels, W / 2^levels) and details.
    """

    gain = 1.0  # of a detail's standard deviation for white noise, from one level to the next

    def __init__(self, levels: int = 1) -> None:
        super().__init__()
        self.levels = _checked(levels)

    def forward(self, x: torch.Tensor) -> Coefficients:
        check_images(x)
        x, size = as_numbers(x), (x.shape[-2], x.shape[-1])
        details = []
        for _ in range(self.levels):
            x, scale = split(x)
            details.append(scale)
        return Coefficients(x, tuple(details), size)

    def synthesis(self, coefficients: Coefficients) -> torch.Tensor:
        """(N, C, H, W) from its coefficients."""
        x = coefficients.approximation
        for scale in reversed(coefficients.details):
            height, width = scale.diagonal.shape[-2:]
            x = merge(x[..., :height, :width], scale)
        height, width = coefficients.size
        return x[..., :height, :width]

    def extra_repr(self) -> str:
        return f"levels={self.levels}"


def split(x: torch.Tensor) -> tuple[torch.Tensor, Details]:
    """One level of the orthogonal bank: averages and differences of 2x2 pixels, times two.

    Shape: (N, C, H, W) -> four of (N, C, ceil(H / 2), ceil(W / 2)).
    """
    upper, lower = _neighbours(x, -2)
    (a, across), (down, both) = (_halves(upper + lower), _halves(upper - lower))
    return a, Details(down, across, both)


def merge(approximation: torch.Tensor, details: Details) -> torch.Tensor:
    """The inverse of `split`, which is its transpose."""
    down, across, both = details
    sums, differences = _interleave(approximation, across), _interleave(down, both)
    rows = torch.stack([(sums + differences) / 2, (sums - differences) / 2], -2)
    return rows.flatten(-3, -2)


def _neighbours(x: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Even places of an axis and what follows them; the last of an odd axis is followed by itself.

    Whether it is odd is not asked: an exported graph would keep the answer for every image.
    """
    if axis == -1:
        return x[..., 0::2], torch.cat([x, x[..., -1:]], axis)[..., 1::2]
    return x[..., 0::2, :], torch.cat([x, x[..., -1:, :]], axis)[..., 1::2, :]


def _halves(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    left, right = _neighbours(x, -1)
    return (left + right) / 2, (left - right) / 2


def _interleave(average: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
    return torch.stack([average + difference, average - difference], -1).flatten(-2)


class HaarFrame(nn.Module):
    """Multi-scale analysis by the undecimated Haar bank (Holschneider et al., 1989).

    3·levels + 1 coefficients a pixel, for a periodical image of any size. It is a tight frame: the
    energy is kept, and `synthesis` restores the image as the mean of all that the redundant
    coefficients say of a pixel.

    Shape: (N, C, H, W) -> approximation and details, each (N, C, H, W).
    """

    gain = 0.5  # of a detail's standard deviation for white noise, from one level to the next

    def __init__(self, levels: int = 1) -> None:
        super().__init__()
        self.levels = _checked(levels)

    def forward(self, x: torch.Tensor) -> Coefficients:
        check_images(x)
        x, size = as_numbers(x), (x.shape[-2], x.shape[-1])
        details = []
        for level in range(self.levels):
            rows, columns = _steps(level, size)
            low, high = _sum_and_difference(x, rows, -2)
            x, across = _sum_and_difference(low, columns, -1)
            down, both = _sum_and_difference(high, columns, -1)
            details.append(Details(down, across, both))
        return Coefficients(x, tuple(details), size)

    def synthesis(self, coefficients: Coefficients) -> torch.Tensor:
        """(N, C, H, W) from its coefficients: the transpose of the analysis."""
        x = coefficients.approximation
        for level, (down, across, both) in reversed(list(enumerate(coefficients.details))):
            rows, columns = _steps(level, coefficients.size)
            low, high = _transpose(x, across, columns, -1), _transpose(down, both, columns, -1)
            x = _transpose(low, high, rows, -2)
        return x

    def extra_repr(self) -> str:
        return f"levels={self.levels}"


def _steps(level: int, size: tuple[int, int]) -> tuple[int, int]:
    """The à trous algorithm: with each level the bank is spread, and the image is not thinned.

    An image smaller than that is gone round more than once.
    """
    return 2**level % size[0], 2**level % size[1]


def _sum_and_difference(x: torch.Tensor, step: int, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    ahead = _rotated(x, step, axis)
    return (x + ahead) / 2, (x - ahead) / 2


def _transpose(low: torch.Tensor, high: torch.Tensor, step: int, axis: int) -> torch.Tensor:
    difference = low - high
    return (low + high + _rotated(difference, difference.shape[axis] - step, axis)) / 2


def _rotated(x: torch.Tensor, by: int, axis: int) -> torch.Tensor:
    """x_i -> x_(i + by), periodical, as two slices: ONNX has no roll."""
    if axis == -1:
        return torch.cat([x[..., by:], x[..., :by]], axis)
    return torch.cat([x[..., by:, :], x[..., :by, :]], axis)


class Pyramid(nn.Module):
    """A multi-scale analysis as one picture: the coarsest scale at the top left, details around it.

    Every band is brought to the scale of the image, details around 0.5. The picture is as large as
    the image: what an odd side would add to it are details of a repeated pixel, which are none.

    Args:
        contrast: of the details, which are faint in a photograph.

    Shape: (N, C, H, W) on the scale 0 to 1 -> (N, C, H, W), on that scale too at contrast 1.
    """

    def __init__(self, levels: int = 3, contrast: float = 1.0) -> None:
        super().__init__()
        self.wavelet, self.contrast = HaarWavelet(levels), contrast

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: Coefficients = self.wavelet(x)
        picture: torch.Tensor = found.approximation / 2**self.wavelet.levels
        finer = [(band.shape[-2], band.shape[-1]) for band, _, _ in found.details[:-1]]
        sizes = [found.size, *finer]  # of what each level analysed
        for level, scale in reversed(list(enumerate(found.details, start=1))):
            bands = (band * (self.contrast / 2**level) + 0.5 for band in scale)
            height, width = sizes[level - 1]
            picture = _tiled(picture, *bands)[..., :height, :width]
        return picture


class FrameTiles(nn.Module):
    """One scale of the undecimated frame as one picture: every band is as large as the image.

    Args:
        level: of the scale, 1 for the finest.
        contrast: of the details, which are faint in a photograph.

    Shape: (N, C, H, W) on the scale 0 to 1 -> (N, C, 2 H, 2 W), on that scale too at contrast 1.
    """

    def __init__(self, level: int = 1, contrast: float = 1.0) -> None:
        super().__init__()
        self.frame, self.contrast = HaarFrame(level), contrast

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: Coefficients = self.frame(x)
        return _tiled(found.approximation, *(b * self.contrast + 0.5 for b in found.details[-1]))


def _tiled(
    approximation: torch.Tensor, down: torch.Tensor, across: torch.Tensor, both: torch.Tensor
) -> torch.Tensor:
    """As wavelets are drawn: details across at the right, down below, both at the lower right."""
    upper, lower = torch.cat([approximation, across], -1), torch.cat([down, both], -1)
    return torch.cat([upper, lower], -2)


def _checked(levels: int) -> int:
    if not 1 <= levels <= DEEPEST:
        raise InputError(f"{levels} levels; expected 1 to {DEEPEST}")
    return levels
