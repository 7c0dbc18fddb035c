"""Linear translation-invariant filters: what makes them so, and their algebra."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import torch
import torch.nn.functional as F

from edgecnn.filters import Extent, FilterBank, Pooled, Separable, convolve, correlate
from edgecnn.filters.matrices import kernel_of
from edgecnn_runtime.errors import InputError

DOUBLE = torch.float64


def random(*shape: int, seed: int = 0, dtype: torch.dtype = DOUBLE) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def image(x: torch.Tensor) -> torch.Tensor:
    """(H, W) -> (1, 1, H, W)."""
    return x[None, None]


def circular(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Circular convolution of two images of one odd size, (H, W)."""
    return convolve(image(x), y, boundary="periodical")[0, 0]


def full(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return convolve(image(x), y, extent="full")[0, 0]


def test_a_circular_convolution_of_a_shifted_image_is_the_shifted_convolution() -> None:
    x, kernel, shift = random(2, 3, 12, 15), random(5, 3, seed=1), (4, -7)
    shifted = convolve(x.roll(shift, (2, 3)), kernel, boundary="periodical")
    expected = convolve(x, kernel, boundary="periodical").roll(shift, (2, 3))
    torch.testing.assert_close(shifted, expected)


def test_a_filter_is_linear() -> None:
    x, y, kernel = random(1, 1, 9, 9), random(1, 1, 9, 9, seed=1), random(3, 3, seed=2)
    together = correlate(2 * x - 3 * y, kernel)
    torch.testing.assert_close(together, 2 * correlate(x, kernel) - 3 * correlate(y, kernel))


def test_a_constant_bias_keeps_the_invariance_and_another_breaks_it() -> None:
    x, kernel, uneven = random(1, 1, 8, 8), random(3, 3, seed=1), random(8, 8, seed=2)

    def unit(x: torch.Tensor, bias: torch.Tensor | float) -> torch.Tensor:
        return torch.tanh(correlate(x, kernel, boundary="periodical") + bias)

    for bias, invariant in ((0.7, True), (uneven, False)):
        shifted, expected = unit(x.roll(3, 3), bias), unit(x, bias).roll(3, 3)
        assert torch.allclose(shifted, expected) == invariant


def test_an_unknown_map_is_recovered_from_its_impulse_response() -> None:
    secret = random(5, 5)

    def unknown(x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, image(secret), padding=2)

    impulse = torch.zeros(1, 1, 5, 5, dtype=DOUBLE)
    impulse[..., 2, 2] = 1
    found = kernel_of(unknown(impulse)[0, 0])
    torch.testing.assert_close(found, secret)
    x = random(1, 1, 20, 30, seed=1)
    torch.testing.assert_close(correlate(x, found), unknown(x))


def test_every_invariant_map_of_a_periodical_image_is_a_filter() -> None:
    transfer = torch.fft.fft2(random(9, 11))  # any at all: its kernel is as large as the image

    def unknown(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.ifft2(torch.fft.fft2(x) * transfer).real

    impulse = torch.zeros(1, 1, 9, 11, dtype=DOUBLE)
    impulse[..., 4, 5] = 1
    found = kernel_of(unknown(impulse)[0, 0])
    x = random(2, 3, 9, 11, seed=1)
    torch.testing.assert_close(correlate(x, found, boundary="periodical"), unknown(x))


def test_an_answer_depends_on_its_neighbourhood_alone() -> None:
    x, kernel = random(1, 1, 9, 11).requires_grad_(), random(3, 5, seed=1)
    answer = correlate(x, kernel)[0, 0, 4, 6]
    (seen,) = torch.autograd.grad(answer, x)
    expected = torch.zeros(9, 11, dtype=DOUBLE)
    expected[3:6, 4:9] = kernel
    torch.testing.assert_close(seen[0, 0], expected)


def test_a_map_that_varies_from_place_to_place_is_no_filter() -> None:
    uneven = random(1, 1, 9, 9)
    impulse = torch.zeros(1, 1, 9, 9, dtype=DOUBLE)
    impulse[..., 4, 4] = 1
    found = kernel_of((uneven * impulse)[0, 0])
    x = random(1, 1, 9, 9, seed=1)
    assert not torch.allclose(correlate(x, found), uneven * x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_convolution_is_linear_commutes_and_is_associative(dtype: torch.dtype) -> None:
    f, g, h = (random(7, 9, seed=s, dtype=dtype) for s in range(3))
    for product in (circular, full):
        together = product(f, 2 * g - 3 * h)
        torch.testing.assert_close(together, 2 * product(f, g) - 3 * product(f, h))
        torch.testing.assert_close(product(f, g), product(g, f))
        torch.testing.assert_close(product(f, product(g, h)), product(product(f, g), h))


def test_a_product_of_kernels_is_one_filter_after_another() -> None:
    f = random(12, 14)
    parts = [random(3, 3, seed=1), random(1, 5, seed=2), random(4, 2, seed=3)]
    kernel = full(full(parts[0], parts[1]), parts[2])
    one_after_another = f
    for part in parts:
        one_after_another = full(one_after_another, part)
    torch.testing.assert_close(full(f, kernel), one_after_another)


def test_a_separable_kernel_is_two_filters() -> None:
    column, row = random(5, seed=1), random(7, seed=2)
    x = random(2, 3, 20, 22)
    for boundary in ("zero", "extension", "mirror", "periodical"):
        whole = FilterBank(torch.outer(column, row), boundary=boundary)
        torch.testing.assert_close(Separable(column, row, boundary=boundary)(x), whole(x))


def hermitian(seed: int) -> torch.Tensor:
    """A random complex kernel with f_-k-l = conj(f_kl)."""
    f = torch.complex(random(7, 7, seed=seed), random(7, 7, seed=seed + 9))
    return (f + f.flip(0, 1).conj()) / 2


def test_cross_correlation_commutes_only_for_hermitian_kernels() -> None:
    def star(f: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return correlate(image(x), f, extent="full")[0, 0]

    f, g, h = hermitian(0), hermitian(1), hermitian(2)
    torch.testing.assert_close(star(f, g), star(g, f))
    torch.testing.assert_close(star(f, star(g, h)), star(star(f, g), h))
    torch.testing.assert_close(star(f, g), full(f, g))  # and then it is the convolution
    # Others, the real ones that are not symmetric among them.
    for dtype in (torch.complex128, DOUBLE):
        a, b, c = (random(7, 7, seed=s, dtype=dtype) for s in range(3))
        assert not torch.allclose(star(a, b), star(b, a))
        assert not torch.allclose(star(a, star(b, c)), star(star(a, b), c))
        torch.testing.assert_close(star(a, b), star(b, a).flip(0, 1).conj())


def test_correlation_is_convolution_with_the_flipped_conjugate() -> None:
    kernel = torch.complex(random(3, 4), random(3, 4, seed=1))
    x = torch.complex(random(2, 3, 8, 9, seed=2), random(2, 3, 8, 9, seed=3))
    for extent in ("full", "valid"):
        got = correlate(x, kernel, extent=extent)
        torch.testing.assert_close(got, convolve(x, kernel.flip(0, 1).conj(), extent=extent))
        by_scipy = scipy.signal.correlate(x[1, 2].numpy(), kernel.numpy(), mode=extent)
        np.testing.assert_allclose(got[1, 2].numpy(), by_scipy, atol=1e-12)


@pytest.mark.parametrize("size", [(3, 3), (4, 3), (2, 5), (1, 1)])
def test_both_agree_with_scipy_even_kernels_included(size: tuple[int, int]) -> None:
    x, kernel = random(1, 1, 10, 11), random(*size, seed=1)
    for ours, theirs in ((correlate, scipy.ndimage.correlate), (convolve, scipy.ndimage.convolve)):
        expected = theirs(x[0, 0].numpy(), kernel.numpy(), mode="nearest")
        got = ours(x, kernel, boundary="extension")[0, 0].numpy()
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_a_bank_gives_the_responses_of_each_channel_together() -> None:
    x, bank = random(2, 3, 9, 9), random(4, 3, 3, seed=1)
    responses = FilterBank(bank)(x)
    assert responses.shape == (2, 12, 9, 9)
    for channel in range(3):
        for k in range(4):
            alone = correlate(x[:, channel : channel + 1], bank[k])[:, 0]
            torch.testing.assert_close(responses[:, 4 * channel + k], alone)


def test_a_convolution_of_several_inputs_is_a_sum_of_2d_convolutions() -> None:
    layer = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False, dtype=DOUBLE)
    x = random(2, 3, 9, 9)
    for output in range(5):
        parts = [correlate(x[:, i : i + 1], layer.weight[output, i]) for i in range(3)]
        torch.testing.assert_close(layer(x)[:, output], sum(parts)[:, 0])


@pytest.mark.parametrize("size", [8, 9, 32])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_size_after_a_valid_filter_with_a_stride(size: int, n: int, stride: int) -> None:
    x = torch.zeros(1, 1, size, size)
    out = correlate(x, torch.ones(n, n), extent="valid", stride=stride)
    assert out.shape[-1] == math.ceil((size - n + 1) / stride)


@pytest.mark.parametrize("extent", ["full", "same", "valid"])
@pytest.mark.parametrize("stride", [2, 3])
def test_a_strided_filter_is_the_decimated_one(extent: Extent, stride: int) -> None:
    x, bank = random(2, 3, 11, 14), random(4, 3, 5, seed=1)
    for slide in (correlate, convolve):
        dense = slide(x, bank, boundary="mirror", extent=extent)
        strided = slide(x, bank, boundary="mirror", extent=extent, stride=stride)
        torch.testing.assert_close(strided, dense[..., ::stride, ::stride])


def test_zeros_of_p_and_a_valid_filter_are_valid_same_and_full() -> None:
    n, x = 5, random(1, 1, 9, 12)
    kernel = random(n, n, seed=1)
    for extent, p in (("valid", 0), ("same", (n - 1) // 2), ("full", n - 1)):
        expected = F.conv2d(x, image(kernel), padding=p)
        torch.testing.assert_close(correlate(x, kernel, extent=extent), expected)


def test_bytes_are_filtered_as_numbers() -> None:
    bytes_ = torch.tensor([[[[0, 255, 0, 7]]]], dtype=torch.uint8)
    differences = torch.tensor([[-1, 0, 1]])  # whole numbers too, as a person writes them
    got = correlate(bytes_, differences)
    assert got.dtype == torch.float32
    assert got.flatten().tolist() == [255, 0, -248, 0]


@pytest.mark.parametrize(
    ("x", "kernels", "message"),
    [
        ((9, 9), (3, 3), r"images of shape \(9, 9\); expected \(N, C, H, W\)"),
        ((3, 9, 9), (3, 3), r"images of shape \(3, 9, 9\)"),
        ((1, 1, 9, 9), (3,), r"kernels of shape \(3,\); expected \(h, w\)"),
        ((1, 1, 9, 9), (2, 1, 3, 3), r"kernels of shape \(2, 1, 3, 3\)"),
    ],
)
def test_what_is_no_image_or_kernel_is_refused(
    x: tuple[int, ...], kernels: tuple[int, ...], message: str
) -> None:
    for slide in (correlate, convolve):
        with pytest.raises(InputError, match=message):
            slide(random(*x), random(*kernels))


def test_a_stride_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="a stride of 0"):
        correlate(random(1, 1, 9, 9), random(3, 3), stride=0)


def test_the_norm_of_responses_has_a_gradient_on_a_flat_image() -> None:
    x = torch.zeros(1, 1, 6, 6, dtype=DOUBLE, requires_grad=True)
    Pooled(FilterBank(random(2, 3, 3)))(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_the_norm_of_complex_responses_is_real() -> None:
    bank = FilterBank(random(2, 3, 3, dtype=torch.complex128))
    x = random(1, 1, 6, 6)
    first, second = bank(x)[0].abs()
    torch.testing.assert_close(Pooled(bank)(x)[0, 0], torch.hypot(first, second))
