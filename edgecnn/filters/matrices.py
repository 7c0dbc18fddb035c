"""Filters as matrices: W x gives what the filter gives, in O(N²) where the filter needs O(NS).

All are for correlations of the same size. Images are vectors of their rows, one after another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch


def toeplitz(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """The band Toeplitz matrix of a filter with zeros beyond the signal.

    Args:
        kernel: (n,), n odd.
        size: length of the signal, N.

    Returns:
        (N, N) with κ_k on its k-th diagonal.
    """
    return _sum(kernel[i] * _shift(size, k, kernel) for i, k in _offsets(kernel))


def circulant(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """The circulant matrix of a filter on a periodical signal, see `toeplitz`."""
    return _sum(kernel[i] * _rotation(size, k, kernel) for i, k in _offsets(kernel))


def doubly_toeplitz(kernel: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The doubly block band Toeplitz matrix of an image filter with zeros beyond the image.

    Args:
        kernel: (h, w), both odd.

    Returns:
        (N, N), N = height · width: the k-th diagonal of blocks is the Toeplitz matrix of row k.
    """
    return _sum(
        torch.kron(_shift(height, k, kernel), toeplitz(kernel[i], width))
        for i, k in _offsets(kernel)
    )


def doubly_circulant(kernel: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The doubly block circulant matrix of a filter on a periodical image, see above."""
    return _sum(
        torch.kron(_rotation(height, k, kernel), circulant(kernel[i], width))
        for i, k in _offsets(kernel)
    )


@dataclass(frozen=True)
class Freedom:
    """Numbers to choose for a linear map of N pixels to N."""

    general: int
    toeplitz: int
    filter: int


def degrees_of_freedom(pixels: int, support: int) -> Freedom:
    """N² for any matrix, 2N - 1 for a Toeplitz matrix, S for a filter of that support."""
    return Freedom(pixels**2, 2 * pixels - 1, support)


def kernel_of(response: torch.Tensor) -> torch.Tensor:
    """The kernel of an unknown linear translation-invariant filter, which one picture gives away.

    Args:
        response: (h, w), odd: what it answers to a single 1 in the middle.

    Returns:
        (h, w): what `correlate` gives the same answers with; the response turned by half a turn.
    """
    return response.flip(-2, -1)


def _offsets(kernel: torch.Tensor) -> list[tuple[int, int]]:
    """(index, distance from the middle) along the first axis."""
    return [(i, i - kernel.shape[0] // 2) for i in range(kernel.shape[0])]


def _shift(size: int, by: int, like: torch.Tensor) -> torch.Tensor:
    """x_i -> x_(i + by), zero beyond the end."""
    ones = torch.ones(max(0, size - abs(by)), dtype=like.dtype, device=like.device)
    whole = like.new_zeros(size, size)
    return torch.diagonal_scatter(whole, ones, by) if abs(by) < size else whole


def _rotation(size: int, by: int, like: torch.Tensor) -> torch.Tensor:
    """x_i -> x_(i + by), from the beginning again beyond the end."""
    return torch.eye(size, dtype=like.dtype, device=like.device).roll(by, 1)


def _sum(parts: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(parts)).sum(0)
