"""Haar wavelets: invertible, orthogonal, PyWavelets' coefficients; and what they are good for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pywt
import torch

from edgecnn.data import colour_crops
from edgecnn.filters import Denoise, HaarFrame, HaarWavelet, Pyramid
from edgecnn.filters.shrinkage import shrink
from edgecnn.filters.wavelets import Coefficients
from edgecnn_runtime.errors import InputError


def image(height: int, width: int) -> torch.Tensor:
    """A piece of a photograph in colour, on the scale 0 to 1: (1, 3, H, W) float64."""
    frame = next(f for f in colour_crops() if f.shape[0] >= height and f.shape[1] >= width)
    return torch.from_numpy(frame[:height, :width]).double().permute(2, 0, 1)[None] / 255


def energy(x: torch.Tensor | Coefficients) -> float:
    parts = x.tensors() if isinstance(x, Coefficients) else [x]
    return sum(part.square().sum().item() for part in parts)


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("size", [(96, 128), (64, 64), (97, 123)])
def test_the_wavelet_agrees_with_pywavelets(levels: int, size: tuple[int, int]) -> None:
    x = image(*size)
    ours = HaarWavelet(levels)(x)
    theirs = pywt.wavedec2(x.numpy(), "haar", mode="symmetric", level=levels, axes=(2, 3))
    np.testing.assert_allclose(ours.approximation, theirs[0], atol=1e-6)
    for scale, expected in zip(reversed(ours.details), theirs[1:], strict=True):
        for band, wanted in zip(scale, expected, strict=True):
            np.testing.assert_allclose(band, wanted, atol=1e-6)


@pytest.mark.parametrize("levels", [1, 3])
def test_the_frame_agrees_with_pywavelets(levels: int) -> None:
    x = image(64, 96)
    ours = HaarFrame(levels)(x)
    theirs = pywt.swt2(x.numpy(), "haar", level=levels, axes=(2, 3), trim_approx=True, norm=True)
    np.testing.assert_allclose(ours.approximation, theirs[0], atol=1e-6)
    for scale, expected in zip(reversed(ours.details), theirs[1:], strict=True):
        for band, wanted in zip(scale, expected, strict=True):
            np.testing.assert_allclose(band, wanted, atol=1e-6)


@pytest.mark.parametrize("transform", [HaarWavelet(3), HaarFrame(3)])
@pytest.mark.parametrize("size", [(96, 128), (97, 101), (80, 99), (9, 13)])
def test_reconstruction_is_perfect(
    transform: HaarWavelet | HaarFrame, size: tuple[int, int]
) -> None:
    x = image(*size)
    torch.testing.assert_close(transform.synthesis(transform(x)), x)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_the_energy_is_kept(levels: int) -> None:
    x = image(96, 128)
    assert energy(HaarWavelet(levels)(x)) == pytest.approx(energy(x))
    assert energy(HaarFrame(levels)(x[..., :97, :101])) == pytest.approx(energy(x[..., :97, :101]))


def test_the_wavelet_has_as_many_coefficients_as_pixels_and_the_frame_more() -> None:
    x = image(96, 128)
    assert sum(t.numel() for t in HaarWavelet(3)(x).tensors()) == x.numel()
    assert sum(t.numel() for t in HaarFrame(3)(x).tensors()) == 10 * x.numel()


def test_the_bank_is_orthogonal() -> None:
    pixels = torch.eye(64, dtype=torch.float64).reshape(64, 1, 8, 8)
    matrix = torch.cat([t.flatten(1) for t in HaarWavelet(3)(pixels).tensors()], 1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(64, dtype=torch.float64))


def test_the_frame_moves_with_the_image_and_the_wavelet_does_not() -> None:
    x = image(64, 64)
    moved, still = HaarFrame(2)(x.roll(3, 3)), HaarFrame(2)(x)
    torch.testing.assert_close(moved.details[1].vertical, still.details[1].vertical.roll(3, 3))
    broken = HaarWavelet(1)(x.roll(1, 3)).details[0].vertical
    assert not torch.allclose(broken, HaarWavelet(1)(x).details[0].vertical)


def test_a_photograph_is_sparse_in_the_wavelet() -> None:
    x = image(96, 128)
    coefficients = torch.cat([t.flatten() for t in HaarWavelet(4)(x).tensors()])
    largest = coefficients.square().sort(descending=True).values
    tenth = largest[: x.numel() // 10].sum() / largest.sum()
    assert tenth > 0.99


def test_the_pyramid_is_one_picture_of_all_bands() -> None:
    x = image(99, 130)
    picture, found = Pyramid(2)(x), HaarWavelet(2)(x[..., :96, :128])
    assert picture.shape == (1, 3, 96, 128)
    torch.testing.assert_close(picture[..., :24, :32], found.approximation / 4)
    torch.testing.assert_close(picture[..., 48:, :64], found.details[0].horizontal / 2 + 0.5)
    torch.testing.assert_close(picture[..., :24, 32:64], found.details[1].vertical / 4 + 0.5)
    assert picture.min() >= 0
    assert picture.max() <= 1


def test_shrinkage_is_the_formula() -> None:
    x = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
    assert shrink(x, 1.0).tolist() == [-2, 0, 0, 0, 0, 0, 2]
    assert shrink(x, 1.0, "hard").tolist() == [-3, 0, 0, 0, 0, 0, 3]
    np.testing.assert_allclose(shrink(x, 0.7), pywt.threshold(x.numpy(), 0.7, "soft"), atol=1e-7)


def psnr(x: torch.Tensor, truth: torch.Tensor) -> float:
    return -10 * math.log10((x - truth).square().mean().item())


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_a_noisy_image_gains_psnr_and_more_in_the_frame(noise: float) -> None:
    truth = image(96, 128)
    generator = torch.Generator().manual_seed(0)
    noisy = truth + noise * torch.randn(truth.shape, generator=generator, dtype=truth.dtype)
    before = psnr(noisy, truth)
    wavelet = psnr(Denoise(noise, HaarWavelet(3))(noisy), truth)
    frame = psnr(Denoise(noise)(noisy), truth)
    hard = psnr(Denoise(noise, strength=3, how="hard")(noisy), truth)
    assert before + 1 < wavelet < frame
    assert hard > before + 1


def test_no_noise_leaves_the_image_as_it_is() -> None:
    x = image(64, 64)
    torch.testing.assert_close(Denoise(0.0)(x), x)


def test_an_analysis_without_levels_is_refused() -> None:
    with pytest.raises(InputError, match="expected at least 1"):
        HaarWavelet(0)
