"""A filter is a matrix of a special form; which one, its boundary tells."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edgecnn.filters import correlate
from edgecnn.filters.matrices import (
    Freedom,
    circulant,
    degrees_of_freedom,
    doubly_circulant,
    doubly_toeplitz,
    toeplitz,
)

KERNEL = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_zeros_beyond_the_signal_make_a_band_toeplitz_matrix() -> None:
    w, x = toeplitz(KERNEL, 9), randn(9)
    torch.testing.assert_close(w @ x, correlate(x[None, None, None], KERNEL[None])[0, 0, 0])
    assert all(w[i, i + k] == KERNEL[k + 2] for k in (-2, 0, 1, 2) for i in range(2, 7))
    assert int((w != 0).sum()) == 9 * 5 - 2 * (1 + 2)


def test_a_periodical_signal_makes_a_circulant_matrix_that_fourier_diagonalises() -> None:
    w, x = circulant(KERNEL, 9), randn(9)
    expected = correlate(x[None, None, None], KERNEL[None], boundary="periodical")[0, 0, 0]
    torch.testing.assert_close(w @ x, expected)
    assert all(torch.equal(w[i], w[0].roll(i)) for i in range(9))
    fourier = torch.fft.fft(torch.eye(9, dtype=torch.complex128))
    spectrum = fourier @ w.to(torch.complex128) @ torch.linalg.inv(fourier)
    off_diagonal = spectrum - torch.diag(spectrum.diagonal())
    assert off_diagonal.abs().max() < 1e-12


def test_an_image_filter_is_doubly_block_toeplitz_or_circulant() -> None:
    x, kernel = randn(6, 8), randn(3, 5)
    for boundary, matrix in (("zero", doubly_toeplitz), ("periodical", doubly_circulant)):
        w = matrix(kernel, 6, 8)
        expected = correlate(x[None, None], kernel, boundary=boundary)[0, 0]  # type: ignore[arg-type]
        torch.testing.assert_close((w @ x.flatten()).unflatten(0, (6, 8)), expected)
        blocks = w.unflatten(0, (6, 8)).unflatten(2, (6, 8)).transpose(1, 2)  # (6, 6, 8, 8)
        torch.testing.assert_close(blocks[1, 2], blocks[3, 4])
    torch.testing.assert_close(doubly_toeplitz(kernel, 6, 8)[:8, :8], toeplitz(kernel[1], 8))
    torch.testing.assert_close(doubly_circulant(kernel, 6, 8)[:8, :8], circulant(kernel[1], 8))


def test_a_kernel_longer_than_the_signal_is_cut() -> None:
    x = randn(2)
    expected = correlate(x[None, None, None], KERNEL[None])[0, 0, 0]
    torch.testing.assert_close(toeplitz(KERNEL, 2) @ x, expected)


def test_degrees_of_freedom() -> None:
    assert degrees_of_freedom(pixels=100, support=9) == Freedom(10_000, 199, 9)
    w = toeplitz(torch.arange(1.0, 12.0), 6)  # as long as a signal of 6 can tell apart
    assert w.numel() == degrees_of_freedom(6, 11).general
    assert len(w.unique()) == degrees_of_freedom(6, 11).toeplitz == 11


@pytest.mark.parametrize("n", [3, 5])
def test_a_filter_costs_n_s_products_where_its_matrix_costs_n_squared(n: int) -> None:
    kernel = randn(n, n)
    for side in (12, 24):
        x, pixels = randn(1, 1, side, side), side**2
        matrix = doubly_toeplitz(kernel, side, side)
        with FlopCounterMode(display=False) as by_matrix:
            matrix @ x.flatten()[:, None]
        with FlopCounterMode(display=False) as by_filter:
            correlate(x, kernel)
        assert by_matrix.get_total_flops() == 2 * pixels**2  # a product and a sum each
        assert by_filter.get_total_flops() == 2 * pixels * n**2


def test_filters_of_a_support_span_as_many_dimensions() -> None:
    ones = torch.eye(15, dtype=torch.float64).reshape(15, 3, 5)
    matrices = torch.stack([doubly_toeplitz(kernel, 4, 6).flatten() for kernel in ones])
    rank = int(torch.linalg.matrix_rank(matrices))
    assert rank == degrees_of_freedom(24, 15).filter < degrees_of_freedom(24, 15).toeplitz
