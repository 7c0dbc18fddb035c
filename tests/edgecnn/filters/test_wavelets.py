"""Haar wavelets: invertible, orthogonal, PyWavelets' coefficients; and what they are good for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pywt
import torch

from edgecnn.data import colour_crops
from edgecnn.filters import (
    Denoise,
    FilterBank,
    FrameTiles,
    HaarFrame,
    HaarWavelet,
    Pyramid,
    correlate,
    kernels,
)
from edgecnn.filters.shrinkage import shrink
from edgecnn.filters.wavelets import Coefficients, Details
from edgecnn_runtime.errors import InputError


def image(height: int, width: int) -> torch.Tensor:
    """A piece of a photograph in colour, on the scale 0 to 1: (1, 3, H, W) float64."""
    frame = next(f for f in colour_crops() if f.shape[0] >= height and f.shape[1] >= width)
    return torch.from_numpy(frame[:height, :width]).double().permute(2, 0, 1)[None] / 255


def energy(x: torch.Tensor | Coefficients) -> float:
    parts = x.tensors() if isinstance(x, Coefficients) else [x]
    return sum(part.square().sum().item() for part in parts)


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(96, 128), (64, 64), (97, 123), (31, 96), (1, 1), (5, 2)])
@pytest.mark.filterwarnings("ignore:Level value of")  # PyWavelets speaks of images this small
def test_the_wavelet_agrees_with_pywavelets(levels: int, size: tuple[int, int]) -> None:
    x = image(*size)
    ours = HaarWavelet(levels)(x)
    theirs = pywt.wavedec2(x.numpy(), "haar", mode="symmetric", level=levels, axes=(2, 3))
    np.testing.assert_allclose(ours.approximation, theirs[0], atol=1e-6)
    for scale, expected in zip(reversed(ours.details), theirs[1:], strict=True):
        for band, wanted in zip(scale, expected, strict=True):
            np.testing.assert_allclose(band, wanted, atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("size", [(64, 96), (33, 21), (5, 3), (1, 7)])
def test_the_frame_agrees_with_pywavelets(levels: int, size: tuple[int, int]) -> None:
    x = image(*size)
    ours = HaarFrame(levels)(x)
    # PyWavelets takes multiples of 2^levels. A periodical image is the same when it is repeated.
    times = [2**levels // math.gcd(side, 2**levels) for side in size]
    repeated = np.tile(x.numpy(), (1, 1, *times))
    theirs = pywt.swt2(repeated, "haar", level=levels, axes=(2, 3), trim_approx=True, norm=True)
    height, width = size
    np.testing.assert_allclose(ours.approximation, theirs[0][..., :height, :width], atol=1e-6)
    for scale, expected in zip(reversed(ours.details), theirs[1:], strict=True):
        for band, wanted in zip(scale, expected, strict=True):
            np.testing.assert_allclose(band, wanted[..., :height, :width], atol=1e-6)


def test_each_inverts_what_pywavelets_found() -> None:
    x = image(96, 128)
    approximation, *coarse_first = pywt.wavedec2(x.numpy(), "haar", level=3, axes=(2, 3))
    details = tuple(Details(*map(torch.from_numpy, scale)) for scale in reversed(coarse_first))
    found = Coefficients(torch.from_numpy(approximation), details, (96, 128))
    torch.testing.assert_close(HaarWavelet(3).synthesis(found), x)
    approximation, *coarse_first = pywt.swt2(
        x.numpy(), "haar", level=3, axes=(2, 3), trim_approx=True, norm=True
    )
    details = tuple(Details(*map(torch.from_numpy, scale)) for scale in reversed(coarse_first))
    found = Coefficients(torch.from_numpy(approximation), details, (96, 128))
    torch.testing.assert_close(HaarFrame(3).synthesis(found), x)


def test_the_bank_is_averages_and_differences_down_and_across_and_a_decimation() -> None:
    average, difference = torch.tensor([[0.5**0.5] * 2, [0.5**0.5, -(0.5**0.5)]]).double()
    pairs = [(average, average), (difference, average), (average, difference)]
    pairs.append((difference, difference))
    kernels = torch.stack([torch.outer(down, across) for down, across in pairs])
    x = image(96, 128)[:, :1]
    bank = FilterBank(kernels, extent="valid", stride=2)
    found = HaarWavelet(1)(x)
    torch.testing.assert_close(bank(x), torch.cat(found.tensors(), 1))
    # And the frame is the same bank, halved, without the decimation.
    undecimated = FilterBank(kernels / 2, extent="valid")(x)
    frame = torch.cat(HaarFrame(1)(x).tensors(), 1)
    torch.testing.assert_close(undecimated, frame[..., :-1, :-1])


def test_each_scale_analyses_what_the_finer_one_left() -> None:
    x = image(96, 128)
    for transform in (HaarWavelet, HaarFrame):
        torch.testing.assert_close(transform(2)(x).details[0], transform(1)(x).details[0])
    left = HaarWavelet(1)(x).approximation
    torch.testing.assert_close(HaarWavelet(2)(x).details[1], HaarWavelet(1)(left).details[0])


@pytest.mark.parametrize("transform", [HaarWavelet(2), HaarFrame(2)])
def test_bytes_are_analysed_as_numbers(transform: HaarWavelet | HaarFrame) -> None:
    frame = torch.from_numpy(colour_crops(1)[0][:40, :50]).permute(2, 0, 1)[None]
    torch.testing.assert_close(transform(frame), transform(frame.float()))


@pytest.mark.parametrize("transform", [HaarWavelet(3), HaarFrame(3)])
@pytest.mark.parametrize("size", [(96, 128), (97, 101), (80, 99), (9, 13), (3, 2), (1, 1)])
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
    x = image(96, 128)
    picture, found = Pyramid(2)(x), HaarWavelet(2)(x)
    assert picture.shape == x.shape
    torch.testing.assert_close(picture[..., :24, :32], found.approximation / 4)
    torch.testing.assert_close(picture[..., 48:, :64], found.details[0].horizontal / 2 + 0.5)
    torch.testing.assert_close(picture[..., :24, 32:64], found.details[1].vertical / 4 + 0.5)
    assert picture.min() >= 0
    assert picture.max() <= 1


@pytest.mark.parametrize("size", [(97, 130), (99, 101), (7, 2), (1, 1)])
def test_the_pyramid_loses_nothing_where_a_side_is_odd(size: tuple[int, int]) -> None:
    x = image(*size)
    picture, found = Pyramid(2)(x), HaarWavelet(2)(x)
    assert picture.shape == x.shape
    height, width = found.details[0].vertical.shape[-2:]  # of the upper left quarter, or more
    torch.testing.assert_close(
        picture[..., :height, width:],
        (found.details[0].vertical / 2 + 0.5)[..., : size[1] - width],
    )
    down, across, both = found.details[0]
    if size[0] % 2:
        assert down[..., -1, :].abs().max() == both[..., -1, :].abs().max() == 0
    if size[1] % 2:
        assert across[..., -1].abs().max() == both[..., -1].abs().max() == 0


def test_the_tiles_of_the_frame_are_its_bands_at_one_scale() -> None:
    x = image(61, 75)
    picture, found = FrameTiles(3, contrast=2)(x), HaarFrame(3)(x)
    assert picture.shape == (1, 3, 122, 150)
    torch.testing.assert_close(picture[..., :61, :75], found.approximation)
    torch.testing.assert_close(picture[..., :61, 75:], 2 * found.details[2].vertical + 0.5)
    torch.testing.assert_close(picture[..., 61:, :75], 2 * found.details[2].horizontal + 0.5)


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
    blurred = psnr(correlate(noisy, kernels.gaussian(0.7), boundary="mirror"), truth)
    assert before + 1 < wavelet < frame
    assert hard > before + 1
    assert before + 1 < blurred < frame  # an average takes noise out too, and edges with it


def test_the_edges_of_a_noisy_image_gain_as_much_as_its_middle() -> None:
    # Dark above and bright below: a frame of it as a periodical image would see a step there.
    truth = torch.linspace(0.2, 0.8, 96, dtype=torch.float64)[:, None].expand(1, 3, 96, 96)
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(truth.shape, generator=generator, dtype=truth.dtype)
    left = (Denoise(0.05)(truth + noise) - truth).square()
    edge, middle = left[..., :4, :].mean(), left[..., 40:56, :].mean()
    assert edge < 2.5 * middle


def test_no_noise_leaves_the_image_as_it_is() -> None:
    x = image(64, 64)
    torch.testing.assert_close(Denoise(0.0)(x), x)


def test_an_analysis_without_levels_is_refused() -> None:
    for levels in (0, 11):
        with pytest.raises(InputError, match="expected 1 to 10"):
            HaarWavelet(levels)
    with pytest.raises(InputError, match=r"expected \(N, C, H, W\)"):
        HaarFrame(1)(torch.zeros(9, 9))
    with pytest.raises(InputError, match="expected 0 or more"):
        Denoise(-0.1)
