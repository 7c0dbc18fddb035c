"""The kernels of the lecture, with its tables."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import torch

from edgecnn.data import colour_crops
from edgecnn.filters import FilterBank, Pooled, correlate, kernels
from edgecnn_runtime.errors import InputError

_BOX = "0 0 0 90 90 90 90 90 0 0"
_ROWS = ["0 " * 10] * 2 + [_BOX] * 3 + ["0 0 0 90 0 90 90 90 0 0", _BOX, "0 " * 10]
_ROWS += ["0 0 90 0 0 0 0 0 0 0", "0 " * 10]


def table(text: str) -> torch.Tensor:
    """Rows that slashes part -> (H, W)."""
    return torch.tensor([[float(n) for n in row.split()] for row in text.split("/")])


INPUT = table("/".join(_ROWS))
BOXCAR = table(
    "0 10 20 30 30 30 20 10 /  0 20 40 60 60 60 40 20 /  0 30 60 90 90 90 60 30 /"
    "0 30 50 80 80 90 60 30 / 0 30 50 80 80 90 60 30 /  0 20 30 50 50 60 40 20 /"
    "10 20 30 30 30 30 20 10 / 10 10 10  0  0  0  0  0"
)
STRIDED = table("0 20 30 20 /  0 60 90 60 /  0 50 80 60 / 10 30 30 20")


def test_the_boxcar_of_the_lecture() -> None:
    out = correlate(INPUT[None, None], kernels.boxcar(3), extent="valid")[0, 0]
    torch.testing.assert_close(out, BOXCAR)


def test_the_strided_boxcar_is_the_decimated_one() -> None:
    out = correlate(INPUT[None, None], kernels.boxcar(3), extent="valid", stride=2)[0, 0]
    torch.testing.assert_close(out, STRIDED)
    torch.testing.assert_close(out, BOXCAR[::2, ::2])


AVERAGING: list[Callable[[], torch.Tensor]] = [
    kernels.boxcar,
    lambda: kernels.boxcar(7),
    lambda: kernels.gaussian(1.3),
    lambda: kernels.gaussian(2.0, size=5),
    lambda: kernels.oriented_gaussian(0.6),
]
DERIVATIVE: list[Callable[[], torch.Tensor]] = [
    kernels.laplacian,
    kernels.gradient,
    kernels.prewitt,
    kernels.sobel,
    lambda: kernels.gabor_bank(6, 0.2, 2.5),
]


@pytest.mark.parametrize("make", AVERAGING)
def test_averaging_kernels_sum_to_1_and_leave_a_flat_image_alone(
    make: Callable[[], torch.Tensor],
) -> None:
    kernel = make()
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    flat = torch.full((1, 1, 40, 40), 0.7)
    torch.testing.assert_close(correlate(flat, kernel, boundary="extension"), flat)


@pytest.mark.parametrize("make", DERIVATIVE)
def test_derivative_kernels_sum_to_0_and_answer_a_flat_image_with_nothing(
    make: Callable[[], torch.Tensor],
) -> None:
    kernel = make()
    assert kernel.sum((-2, -1)).abs().max() < 1e-5
    flat = torch.full((1, 1, 40, 40), 0.7)
    assert correlate(flat, kernel, boundary="extension").abs().max() < 1e-5


def test_the_kernels_are_those_of_the_lecture_and_of_scipy() -> None:
    prewitt = torch.tensor([[-1.0, 0.0, 1.0]] * 3)
    torch.testing.assert_close(kernels.prewitt(), torch.stack([prewitt, prewitt.T]))
    x = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    image = torch.from_numpy(x)[None, None]
    for bank, theirs in (
        (kernels.prewitt(), scipy.ndimage.prewitt),
        (kernels.sobel(), scipy.ndimage.sobel),
    ):
        got = correlate(image, bank, boundary="mirror")[0]
        for response, axis in zip(got, (1, 0), strict=True):
            np.testing.assert_allclose(response, theirs(x, axis, mode="mirror"), atol=1e-5)
    got = correlate(image, kernels.laplacian(), boundary="mirror")[0, 0]
    np.testing.assert_allclose(got, scipy.ndimage.laplace(x, mode="mirror"), atol=1e-5)
    got = correlate(image, kernels.gaussian(1.5, size=13), boundary="extension")[0, 0]
    expected = scipy.ndimage.gaussian_filter(x, 1.5, mode="nearest", radius=6)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_plain_gradient_is_twice_numpys() -> None:
    x = np.random.default_rng(0).normal(size=(9, 12))
    across, down = correlate(torch.from_numpy(x)[None, None], kernels.gradient())[0].numpy()
    for ours, axis in ((down, 0), (across, 1)):
        theirs = 2 * np.gradient(x, axis=axis)
        np.testing.assert_allclose(ours[1:-1, 1:-1], theirs[1:-1, 1:-1], atol=1e-12)


def test_the_laplacian_is_the_second_derivative() -> None:
    k, right = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    for x, second in (
        (3 * k - right + 2, 0.0),
        (k.square() - 4 * right, 2.0),
        (k * k + right**2, 4),
    ):
        out = correlate(x[None, None], kernels.laplacian(), extent="valid")
        torch.testing.assert_close(out, torch.full_like(out, second))


@pytest.mark.parametrize("make", DERIVATIVE)
def test_a_derivative_kernel_measures_the_covariance_with_a_neighbourhood(
    make: Callable[[], torch.Tensor],
) -> None:
    kernel = make().double().reshape(-1, *make().shape[-2:])[0]
    x = torch.from_numpy(colour_crops(1)[0][..., 1]).double()
    out = correlate(x[None, None], kernel, extent="valid")[0, 0]
    h, w = kernel.shape
    around = x[20 : 20 + h, 30 : 30 + w]
    together = torch.stack([kernel.flatten(), around.flatten()])
    covariance = torch.cov(together, correction=0)[0, 1] * h * w
    torch.testing.assert_close(out[20, 30], covariance, atol=1e-3, rtol=1e-5)


def test_averages_let_low_frequencies_pass_and_derivatives_high_ones() -> None:
    waves = [grating(math.pi / 2, f, size=200) for f in (0.01, 0.05, 0.1, 0.2)]
    for kernel in (kernels.boxcar(3), kernels.gaussian(1.0)):
        passed = [strength(kernel, wave) for wave in waves]
        assert passed == sorted(passed, reverse=True)
        assert passed[0] == pytest.approx(0.5, rel=0.05)  # what a wave has without any filter
    for kernel in (kernels.laplacian(), kernels.prewitt()[0], kernels.sobel()[0]):
        passed = [strength(kernel, wave) for wave in waves]
        assert passed == sorted(passed)
        assert passed[0] < 0.05 * passed[-1]


def test_the_gaussian_is_the_formula() -> None:
    kernel = kernels.gaussian(1.7, size=9)
    ratio = kernel[4 + 2, 4 - 3] / kernel[4, 4]
    assert ratio.item() == pytest.approx(math.exp(-(2**2 + 3**2) / (2 * 1.7**2)), rel=1e-5)


def test_a_step_edge_is_answered_at_the_step_alone() -> None:
    step = torch.zeros(1, 1, 9, 12)
    step[..., 6:] = 1
    for bank, height in ((kernels.gradient(), 1.0), (kernels.prewitt(), 3), (kernels.sobel(), 4)):
        vertical, horizontal = correlate(step, bank, boundary="extension")[0]
        expected = torch.zeros(9, 12)
        expected[:, 5:7] = height
        torch.testing.assert_close(vertical, expected)
        assert horizontal.abs().max() == 0
    laplacian = correlate(step, kernels.laplacian(), boundary="extension")[0, 0]
    assert laplacian[4].tolist() == [0, 0, 0, 0, 0, 1, -1, 0, 0, 0, 0, 0]


def test_edges_are_pooled_by_the_largest_or_by_the_norm() -> None:
    x = torch.randn(2, 3, 8, 9)
    bank = FilterBank(kernels.prewitt())
    responses = bank(x).unflatten(1, (3, 2))
    vertical, horizontal = responses[:, :, 0], responses[:, :, 1]
    torch.testing.assert_close(Pooled(bank)(x), torch.hypot(vertical, horizontal))
    largest = torch.maximum(vertical.abs(), horizontal.abs())
    torch.testing.assert_close(Pooled(bank, "max")(x), largest)


def grating(theta: float, frequency: float, size: int = 48) -> torch.Tensor:
    """A wave whose crests are crossed in direction theta, from down to right."""
    k, right = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.cos(2 * math.pi * frequency * (k * math.cos(theta) + right * math.sin(theta)))[
        None, None
    ]


def strength(kernel: torch.Tensor, x: torch.Tensor) -> float:
    return correlate(x, kernel, extent="valid").square().mean().item()


ANGLES = [math.pi * i / 12 for i in range(12)]
FREQUENCIES = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]


@pytest.mark.parametrize("theta", ANGLES[::2])
@pytest.mark.parametrize("frequency", FREQUENCIES[1:5])
def test_gabor_answers_most_to_its_own_direction_and_frequency(
    theta: float, frequency: float
) -> None:
    kernel = kernels.gabor(theta, frequency, tau=4.0)
    by_angle = [strength(kernel, grating(a, frequency)) for a in ANGLES]
    assert ANGLES[int(np.argmax(by_angle))] == theta
    by_frequency = [strength(kernel, grating(theta, f)) for f in FREQUENCIES]
    assert FREQUENCIES[int(np.argmax(by_frequency))] == frequency


def test_gabor_is_the_formula() -> None:
    theta, f, tau = 0.7, 0.12, 2.5
    kernel = kernels.gabor(theta, f, tau, size=9)
    for k, right in ((0, 0), (2, -3), (-4, 1)):
        wave = math.cos(2 * math.pi * f * (k * math.cos(theta) + right * math.sin(theta)))
        expected = math.exp(-(k**2 + right**2) / (2 * tau**2)) * wave
        assert kernel[4 + k, 4 + right].item() == pytest.approx(expected, abs=1e-6)


def test_a_bank_of_gabors_shares_a_half_turn_from_its_first_direction() -> None:
    bank = kernels.gabor_bank(4, 0.15, 3.0, start=math.pi / 12)
    for kernel, theta in zip(bank, ANGLES[1::3], strict=True):
        by_angle = [strength(kernel, grating(a, 0.15)) for a in ANGLES]
        assert ANGLES[int(np.argmax(by_angle))] == theta


def test_tau_is_the_support_of_gabor() -> None:
    reach = []
    for tau in (1.5, 3.0, 6.0):
        weight = kernels.gabor(0.0, 0.2, tau).abs().sum(0)
        place = torch.arange(len(weight)) - len(weight) // 2
        reach.append(((weight * place.square()).sum() / weight.sum()).sqrt().item())
    assert reach == pytest.approx([1.5, 3.0, 6.0], rel=0.05)


@pytest.mark.parametrize("theta", ANGLES[::2])
def test_the_oriented_gaussian_removes_high_frequencies_in_its_own_direction(
    theta: float,
) -> None:
    kernel = kernels.oriented_gaussian(theta, along=4.0, across=1.0)
    left = [strength(kernel, grating(a, 0.1)) for a in ANGLES]
    assert ANGLES[int(np.argmin(left))] == theta
    across = ANGLES[int(np.argmax(left))]
    assert abs(across - theta) == pytest.approx(math.pi / 2)
    # A line is answered most where it runs along the kernel.
    lines = [
        strength(kernel, kernels.oriented_gaussian(a, 9.0, 0.6, 41)[None, None]) for a in ANGLES
    ]
    assert ANGLES[int(np.argmax(lines))] == theta


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kernels.boxcar(4), "of size 4; expected an odd number"),
        (lambda: kernels.boxcar(1025), "expected at most 1023"),
        (lambda: kernels.gaussian(0), "of 0; expected above 0"),
        (lambda: kernels.gaussian(1e6), "expected at most 1023"),
        (lambda: kernels.oriented_gaussian(0.1, across=0), "of 0; expected above 0"),
        (lambda: kernels.gabor(0, 0.6, 3), "frequency of 0.6; expected 0 to 0.5"),
        (lambda: kernels.gabor_bank(0, 0.1, 3), "0 directions"),
    ],
)
def test_a_kernel_that_cannot_be_is_refused(make: Callable[[], torch.Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
