"""Each distortion against its formula or a library's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torchvision.transforms import functional as reference
from torchvision.transforms import v2

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.training.augment import augment, crop_at_random, mix
from edgecnn.training.augment.colour import EIGENVALUES, EIGENVECTORS
from edgecnn.training.augment.single import FILTERS, _resize, rand_augment, scaled_crop
from edgecnn.training.inputs import TrainingSet, input_for
from edgecnn.training.recipe import Augment

Frame = NDArray[np.uint8]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """(12, 3, 64, 64) RGB on the scale 0 to 255."""
    crops = [crop[:64, :64, ::-1].copy() for crop in colour_crops(12)]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()


def test_elastic_distortion_is_simards() -> None:
    digits = [frame[:, :, 0] for frame in some_frames(load_data("mnist5k").val, 4)]
    x = torch.from_numpy(np.stack(digits))[:, None].float()
    alpha, sigma = 34.0, 4.0
    found = augment(x, Augment(elastic=(alpha, sigma)), seeded(7))
    noise = torch.rand((4, 2, 28, 28), generator=seeded(7)).numpy() * 2 - 1
    rows, columns = np.mgrid[:28, :28]
    for image, (across, down), got in zip(digits, noise, found[:, 0], strict=True):
        moved = [
            alpha * ndimage.gaussian_filter(field, sigma, mode="constant")
            for field in (down, across)
        ]
        assert np.abs(moved).max() > 1  # pixels: it does something
        expected = ndimage.map_coordinates(
            image.astype(float),
            [rows + moved[0], columns + moved[1]],
            order=1,
            mode="grid-constant",
        )
        np.testing.assert_allclose(got.numpy(), expected, atol=0.1)


def test_the_pca_shift_is_alexnets(photographs: torch.Tensor) -> None:
    found = augment(photographs, Augment(pca=0.1), seeded(3)) - photographs
    drawn = 0.1 * torch.randn((len(photographs), 3), generator=seeded(3))
    p, eigenvalues = torch.tensor(EIGENVECTORS), torch.tensor(EIGENVALUES)
    for shift, a in zip(found, drawn, strict=True):
        expected = 255 * sum(p[:, i] * a[i] * eigenvalues[i] for i in range(3))
        # One shift for all pixels of an image.
        torch.testing.assert_close(
            shift, expected[:, None, None].expand(3, 64, 64), atol=1e-3, rtol=0
        )


def test_the_components_are_orthogonal_and_follow_the_order_of_the_channels() -> None:
    p = torch.tensor(EIGENVECTORS)
    torch.testing.assert_close(p.T @ p, torch.eye(3), atol=1e-3, rtol=0)
    grey = torch.full((2, 3, 4, 4), 100.0)
    rgb = augment(grey, Augment(pca=0.5), seeded())
    bgr = augment(grey, Augment(pca=0.5), seeded(), "bgr")
    assert torch.equal(rgb, bgr.flip(1))
    assert not torch.equal(rgb, bgr)
    single = torch.rand(2, 1, 4, 4)
    assert torch.equal(augment(single, Augment(pca=0.5), seeded(), "gray"), single)


@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_colour_jitter_is_torchvisions(kind: str, photographs: torch.Tensor) -> None:
    found = augment(photographs, Augment(**{kind: 0.4}), seeded(5))  # type: ignore[arg-type]
    factors = 1 + 0.4 * (torch.rand(len(photographs), generator=seeded(5)) * 2 - 1)
    adjust = getattr(reference, f"adjust_{kind}")
    for image, factor, got in zip(photographs, factors, found, strict=True):
        expected = 255 * adjust(image / 255, float(factor))
        torch.testing.assert_close(got, expected, atol=0.1, rtol=0)
    assert not torch.allclose(found, photographs, atol=5)


def test_pad_and_crop_shifts_by_at_most_an_eighth() -> None:
    x = torch.rand(40, 1, 32, 32) + 1
    found = augment(x, Augment(pad=0.125), seeded())
    shifts = set()
    for image, got in zip(x[:, 0], found[:, 0], strict=True):
        padded = torch.nn.functional.pad(image, (4, 4, 4, 4))
        fits = [
            (top, left)
            for top in range(9)
            for left in range(9)
            if torch.equal(got, padded[top : top + 32, left : left + 32])
        ]
        assert len(fits) == 1
        shifts.update(fits)
    assert len(shifts) > 20


def test_mixup_adds_images_and_labels_in_one_proportion(photographs: torch.Tensor) -> None:
    targets = torch.arange(len(photographs))  # each a class of its own: the partner can be read off
    x, wanted = mix(photographs, targets, len(targets), Augment(mixup=0.4), (0, 8))
    shares = torch.tensor([row[i] for i, row in enumerate(wanted)])
    left = float(shares.min())
    assert 0.5 < max(left, 1 - left) < 1
    torch.testing.assert_close(wanted.sum(1), torch.ones(len(targets)))
    torch.testing.assert_close(x, torch.einsum("ij,jchw->ichw", wanted, photographs))


def test_cutmix_pastes_the_area_that_the_label_says(photographs: torch.Tensor) -> None:
    marked = torch.arange(12.0)[:, None, None, None].expand(12, 3, 40, 48).contiguous()
    targets = torch.arange(12)
    pasted = 0
    for step in range(20):
        x, wanted = mix(marked, targets, 12, Augment(cutmix=1.0), (0, step))
        for i, (image, row) in enumerate(zip(x, wanted, strict=True)):
            for j in range(12):
                share = float((image == j).float().mean())
                assert share == pytest.approx(float(row[j]), abs=1e-6)
                pasted += i != j and share > 0
    assert pasted > 50


def test_a_batch_has_mixup_or_cutmix_and_the_key_decides(photographs: torch.Tensor) -> None:
    both = Augment(mixup=0.2, cutmix=1.0)
    targets = torch.zeros(12, dtype=torch.int64)
    first, again, other = (
        mix(photographs, targets, 2, both, key)[0] for key in ((1, 2), (1, 2), (1, 3))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    whole_levels = [
        bool((mix(photographs, targets, 2, both, (0, step))[0] % 1 == 0).all())
        for step in range(30)
    ]
    assert 5 < sum(whole_levels) < 25  # pasting keeps grey levels, adding does not


def test_scale_jitter_shows_what_a_crop_of_the_scaled_picture_would() -> None:
    frame = np.zeros((300, 400, 3), np.uint8)
    rng = np.random.default_rng(0)
    sides = [scaled_crop(frame, (224, 224), (256 / 224, 512 / 224), rng).shape for _ in range(300)]
    assert all(h == w for h, w, _ in sides)
    scaled_to = [300 * 224 / h for h, _, _ in sides]  # the shorter side
    assert min(scaled_to) == pytest.approx(256, abs=8)
    assert max(scaled_to) == pytest.approx(512, abs=8)
    assert np.mean(scaled_to) == pytest.approx(384, abs=20)


def test_a_scaled_crop_of_another_shape_still_fits() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((300, 30), (30, 300), (1, 1), (1, 50)):
        crop = scaled_crop(np.zeros((height, width, 3), np.uint8), (48, 192), (1.0, 1.5), rng)
        assert 0 < crop.shape[0] <= height
        assert 0 < crop.shape[1] <= width


def test_random_interpolation_is_one_of_four_filters() -> None:
    frame = colour_crops(1)[0][:96, :96]
    nearest, area = (_resize(frame, (32, 32), mode) for mode in ("nearest", "area"))
    assert np.array_equal(nearest, frame[::3, ::3])
    blocks = frame.reshape(32, 3, 32, 3, 3).mean((1, 3))
    assert np.abs(area - blocks).max() <= 0.5 + 1e-4
    for mode in ("bilinear", "bicubic"):
        expected = reference.resize(
            torch.from_numpy(frame.copy()).permute(2, 0, 1),
            [32, 32],
            reference.InterpolationMode(mode),
            antialias=True,
        )
        got = _resize(frame, (32, 32), mode).astype(int)
        assert np.abs(got - expected.permute(1, 2, 0).numpy()).max() <= 1

    spec = input_for(load_data("terrain"), 32, 32, 3)
    settings = Augment(crop_scale=(0.9999, 1.0), interpolation="random")
    seen = {
        crop_at_random(frame, spec, settings, np.random.default_rng(seed)).tobytes()
        for seed in range(24)
    }
    known = {_resize(frame, (32, 32), mode)[:, :, ::-1].tobytes() for mode in FILTERS}
    assert seen == known


def test_rand_augment_is_torchvisions_and_touches_no_global_generator() -> None:
    image = np.ascontiguousarray(colour_crops(1)[0][:64, :64, ::-1])
    before = torch.random.get_rng_state()
    first, again, other = (rand_augment(image, 2, 9, key) for key in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    seed = int(np.random.SeedSequence((0, 1)).generate_state(1, np.uint64)[0] >> 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = v2.RandAugment(2, 9)(torch.from_numpy(image).permute(2, 0, 1))
    assert np.array_equal(first, expected.permute(1, 2, 0).numpy())


def test_every_recipes_image_depends_on_seed_epoch_and_index_alone() -> None:
    data = load_data("terrain")
    spec = input_for(data, 48, 48, 3)
    for settings in (
        Augment(shorter=(1.1, 2.2)),
        Augment(crop_scale=(0.1, 1.0), interpolation="random", randaugment=(2, 9)),
    ):
        images = TrainingSet(data.train, spec, settings, seed=5)
        assert images[2, 7][0].shape == (48, 48, 3)
        assert np.array_equal(images[2, 7][0], images[2, 7][0])
        assert not np.array_equal(images[2, 7][0], images[3, 7][0])


def test_the_smoothing_kernel_of_the_elastic_field_sums_to_one() -> None:
    from edgecnn.training.augment.geometry import _smooth

    flat = _smooth(torch.ones(1, 2, 41, 41), 4.0)
    assert float(flat[0, 0, 20, 20]) == pytest.approx(1, abs=1e-4)
    spread = _smooth(torch.eye(1)[None, None].expand(1, 2, 1, 1), 4.0)
    assert float(spread[0, 0, 0, 0]) == pytest.approx(1 / (2 * math.pi * 16), rel=0.01)
