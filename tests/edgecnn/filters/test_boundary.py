"""The four boundary conditions and the three extents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch

from edgecnn.filters import Boundary, Extent, correlate, enlarge
from edgecnn_runtime.errors import InputError

# Ours, NumPy's name, SciPy's name.
NAMES: list[tuple[Boundary, Any, str]] = [
    ("zero", "constant", "constant"),
    ("extension", "edge", "nearest"),
    ("mirror", "reflect", "mirror"),
    ("periodical", "wrap", "wrap"),
]


@pytest.mark.parametrize(("boundary", "numpys", "scipys"), NAMES)
def test_each_boundary_is_that_of_numpy_and_scipy(
    boundary: Boundary, numpys: Any, scipys: str
) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(7, 9)), rng.normal(size=(5, 3))
    enlarged = enlarge(torch.from_numpy(x)[None, None], (3, 1), (0, 4), boundary)
    np.testing.assert_array_equal(enlarged[0, 0], np.pad(x, ((3, 1), (0, 4)), mode=numpys))
    got = correlate(torch.from_numpy(x)[None, None], torch.from_numpy(kernel), boundary=boundary)
    expected = scipy.ndimage.correlate(x, kernel, mode=scipys)
    np.testing.assert_allclose(got[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("boundary", [n[0] for n in NAMES])
def test_a_complex_image_is_enlarged_like_its_parts(boundary: Boundary) -> None:
    x = torch.randn(1, 2, 5, 6, dtype=torch.complex128)
    got = enlarge(x, (1, 2), (2, 0), boundary)
    torch.testing.assert_close(got.imag, enlarge(x.imag, (1, 2), (2, 0), boundary))


@pytest.mark.parametrize("boundary", [n[0] for n in NAMES])
def test_the_sizes_of_full_same_and_valid(boundary: Boundary) -> None:
    x, kernel = torch.zeros(1, 1, 10, 14), torch.ones(3, 5)
    sizes = {"full": (12, 18), "same": (10, 14), "valid": (8, 10)}
    for extent, size in sizes.items():
        out = correlate(x, kernel, boundary=boundary, extent=extent)  # type: ignore[arg-type]
        assert out.shape[-2:] == size


@pytest.mark.parametrize(("boundary", "numpys", "scipys"), NAMES)
def test_full_and_valid_see_what_numpy_adds(boundary: Boundary, numpys: Any, scipys: str) -> None:
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(8, 11)), rng.normal(size=(3, 5))
    added: dict[Extent, Any] = {"full": ((2, 2), (4, 4)), "valid": ((0, 0), (0, 0))}
    for extent, margin in added.items():
        enlarged = np.pad(x, margin, mode=numpys)
        expected = scipy.signal.correlate2d(enlarged, kernel, mode="valid")
        got = correlate(
            torch.from_numpy(x)[None, None],
            torch.from_numpy(kernel),
            boundary=boundary,
            extent=extent,
        )
        np.testing.assert_allclose(got[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize(("boundary", "numpys", "scipys"), NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (5, 2)])
def test_an_image_smaller_than_the_kernel_is_mirrored_or_repeated_again_and_again(
    size: tuple[int, int], boundary: Boundary, numpys: Any, scipys: str
) -> None:
    x = np.random.default_rng(2).normal(size=size)
    enlarged = enlarge(torch.from_numpy(x)[None, None], (7, 9), (8, 11), boundary)
    np.testing.assert_array_equal(enlarged[0, 0], np.pad(x, ((7, 9), (8, 11)), mode=numpys))
    assert correlate(torch.from_numpy(x)[None, None], torch.ones(5, 7)).shape[-2:] == size


def test_same_and_valid_are_parts_of_full() -> None:
    x, kernel = torch.randn(1, 1, 10, 12), torch.randn(5, 5)
    full = correlate(x, kernel, extent="full")
    torch.testing.assert_close(correlate(x, kernel), full[..., 2:-2, 2:-2])
    torch.testing.assert_close(correlate(x, kernel, extent="valid"), full[..., 4:-4, 4:-4])


def test_an_image_that_is_too_small_for_valid_says_so() -> None:
    kernel = torch.ones(5, 3)
    assert correlate(torch.zeros(1, 1, 5, 3), kernel, extent="valid").shape[-2:] == (1, 1)
    with pytest.raises(InputError, match="4x9 has no place for the whole of a kernel of 5x3"):
        correlate(torch.zeros(1, 1, 4, 9), kernel, extent="valid")


def test_an_unknown_boundary_or_extent_is_answered_with_the_nearest() -> None:
    x = torch.zeros(1, 1, 4, 4)
    with pytest.raises(InputError, match="did you mean 'mirror'"):
        correlate(x, torch.ones(3, 3), boundary="miror")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="did you mean 'valid'"):
        correlate(x, torch.ones(3, 3), extent="vald")  # type: ignore[arg-type]
