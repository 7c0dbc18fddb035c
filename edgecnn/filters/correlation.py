"""Linear translation-invariant filters: correlation, convolution, and banks of them as modules."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.filters.boundary import Boundary, Extent, enlarge, margins
from edgecnn.filters.images import check_images, common_type
from edgecnn_runtime.errors import InputError

Margins = tuple[tuple[int, int], tuple[int, int]]  # (above, below), (left, right)


def correlate(
    x: torch.Tensor,
    kernels: torch.Tensor,
    *,
    boundary: Boundary = "zero",
    extent: Extent = "same",
    stride: int = 1,
) -> torch.Tensor:
    """Cross-correlation, a_ij = sum_kl conj(κ_kl) x_(i+k)(j+l), of each channel with each kernel.

    This is what machine learning calls a convolution.

    Args:
        x: (N, C, H, W), real or complex.
        kernels: one, (h, w), or a bank of them, (K, h, w); k and l count from the middle.

    Returns:
        (N, C·K, H', W'): the K responses of the first channel, then those of the second. With
        n x n kernels a side of w becomes ceil((w - n + 1) / stride) for `valid`.

    Raises:
        InputError: other shapes, a stride below 1, no such boundary or extent, or an image that
            has no place for the whole of the kernel where that is asked for.
    """
    _check(kernels, stride)
    height, width = kernels.shape[-2:]
    around = (margins(height, extent), margins(width, extent))
    return _slide(x, kernels.conj(), around, boundary, stride)


def convolve(
    x: torch.Tensor,
    kernels: torch.Tensor,
    *,
    boundary: Boundary = "zero",
    extent: Extent = "same",
    stride: int = 1,
) -> torch.Tensor:
    """Convolution, a_ij = sum_kl ν_kl x_(i-k)(j-l): the correlation with κ_kl = conj(ν_-k-l).

    Arguments and result are those of `correlate`.
    """
    _check(kernels, stride)
    height, width = kernels.shape[-2:]
    above, below = margins(height, extent)
    left, right = margins(width, extent)
    around = ((below, above), (right, left))  # the middle of an even kernel is flipped too
    return _slide(x, kernels.flip(-2, -1), around, boundary, stride)


def _slide(
    x: torch.Tensor, kernels: torch.Tensor, around: Margins, boundary: Boundary, stride: int
) -> torch.Tensor:
    check_images(x)
    bank = kernels if kernels.dim() == 3 else kernels[None]
    channels = int(x.shape[1])
    common = common_type(x, bank)
    weight = bank.resolve_conj().to(common)[:, None].repeat(channels, 1, 1, 1)  # (C·K, 1, h, w)
    enlarged = enlarge(x.to(common), *around, boundary)
    _check_fit(enlarged, bank)
    return F.conv2d(enlarged, weight, stride=stride, groups=channels)


def _check(kernels: torch.Tensor, stride: int) -> None:
    if kernels.dim() not in (2, 3):
        raise InputError(
            f"kernels of shape {tuple(kernels.shape)}; expected (h, w), or (K, h, w) for a bank"
        )
    if stride < 1:
        raise InputError(f"a stride of {stride}; expected at least 1")


def _check_fit(x: torch.Tensor, bank: torch.Tensor) -> None:
    if torch.onnx.is_in_onnx_export():  # a graph is for images of any size
        return
    (height, width), (h, w) = x.shape[-2:], bank.shape[-2:]
    if height < h or width < w:
        raise InputError(
            f"an image of {height}x{width} has no place for the whole of a kernel of {h}x{w};"
            " expected a larger image, or extent 'same'"
        )


class FilterBank(nn.Module):
    """Correlate every channel with each kernel of a fixed bank.

    Args:
        kernels: (h, w) or (K, h, w).

    Shape: (N, C, H, W) -> (N, C·K, H', W'), see `correlate`.

    Raises:
        InputError: kernels of another shape, or a stride below 1.
    """

    kernels: torch.Tensor

    def __init__(
        self,
        kernels: torch.Tensor,
        *,
        boundary: Boundary = "zero",
        extent: Extent = "same",
        stride: int = 1,
    ) -> None:
        super().__init__()
        _check(kernels, stride)
        self.register_buffer("kernels", kernels)
        self.boundary, self.extent, self.stride = boundary, extent, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return correlate(
            x, self.kernels, boundary=self.boundary, extent=self.extent, stride=self.stride
        )

    def extra_repr(self) -> str:
        size = "x".join(str(n) for n in self.kernels.shape)
        return f"{size}, boundary={self.boundary}, extent={self.extent}, stride={self.stride}"


class Separable(nn.Sequential):
    """The outer product of a column and a row as two filters: h + w products a pixel, not h·w.

    Args:
        column: (h,). `row`: (w,).

    Shape: (N, C, H, W) -> (N, C, H', W'), see `correlate`.
    """

    def __init__(
        self,
        column: torch.Tensor,
        row: torch.Tensor,
        *,
        boundary: Boundary = "zero",
        extent: Extent = "same",
    ) -> None:
        super().__init__(
            FilterBank(column[:, None], boundary=boundary, extent=extent),
            FilterBank(row[None, :], boundary=boundary, extent=extent),
        )


class Pooled(nn.Module):
    """The responses of a bank pooled at each place: the largest |a_k|, or the norm of all.

    Shape: (N, C, H, W) -> (N, C, H', W').
    """

    def __init__(self, bank: FilterBank, how: Literal["max", "norm"] = "norm") -> None:
        super().__init__()
        self.bank, self.how = bank, how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        responses: torch.Tensor = self.bank(x)
        shape = (x.shape[0], int(x.shape[1]), -1, *responses.shape[-2:])
        responses = responses.reshape(shape)  # (N, C, K, H', W')
        if self.how == "max":
            return responses.abs().amax(2)
        norm: torch.Tensor = torch.linalg.vector_norm(responses, dim=2)
        return norm  # which has a gradient where all responses are 0; the root of a sum has none

    def extra_repr(self) -> str:
        return self.how
