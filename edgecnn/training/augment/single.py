"""What happens to a single image where it is read: crops, interpolation, RandAugment."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgecnn.training.recipe import Augment
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]

FILTERS = ("nearest", "area", "bilinear", "bicubic")


def crop_at_random(frame: Frame, spec: Input, augment: Augment, rng: np.random.Generator) -> Frame:
    """A random crop of a frame, in the size and colour of the network's input.

    Args:
        frame: uint8 (H, W, 3) BGR.
        spec: of the input; its colour and interpolation are kept, its crop is not.

    Returns:
        uint8 (spec.height, spec.width, spec.channels).
    """
    if augment.shorter is None:
        crop = random_crop(frame, augment, rng)
    else:
        crop = scaled_crop(frame, (spec.height, spec.width), augment.shorter, rng)
    if augment.interpolation == "random":
        crop = _resize(crop, (spec.height, spec.width), FILTERS[int(rng.integers(len(FILTERS)))])
    return preprocess(crop, _stretch(spec))


@cache
def _stretch(spec: Input) -> Input:
    """A random crop has the input's shape already, so it is stretched, not cropped again."""
    return msgspec.structs.replace(spec, resize="stretch", shorter_side=None, crop=None)


def random_crop(frame: Frame, augment: Augment, rng: np.random.Generator) -> Frame:
    """A box of random area and aspect (Szegedy et al., 2015); the whole frame if none fits."""
    height, width = frame.shape[:2]
    for _ in range(10):
        area = rng.uniform(*augment.crop_scale) * height * width
        low, high = (math.log(a) for a in augment.crop_aspect)
        aspect = math.exp(rng.uniform(low, high))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
            return frame[top : top + h, left : left + w]
    return frame


def scaled_crop(
    frame: Frame, size: tuple[int, int], shorter: tuple[float, float], rng: np.random.Generator
) -> Frame:
    """VGG's scale jitter (Simonyan and Zisserman, 2015): what a crop of `size` would show of the
    frame, once its shorter side were scaled to a random multiple of the shorter one of `size`.

    It is cut before it is scaled, which is the same but for a fraction of a pixel.

    Returns:
        uint8 (h, w, 3), a view of the frame in its own pixels.
    """
    height, width = frame.shape[:2]
    # Scaled so that the crop fits, also where frame and crop are not of one shape.
    scale = rng.uniform(*shorter) * max(size[0] / height, size[1] / width)
    h, w = (
        max(1, min(full, round(s / scale))) for s, full in zip(size, (height, width), strict=True)
    )
    top, left = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    return frame[top : top + h, left : left + w]


def _resize(frame: Frame, size: tuple[int, int], mode: str) -> Frame:
    """GoogLeNet's other filters (Szegedy et al., 2015): uint8 (h, w, 3) -> (*size, 3)."""
    x = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float()
    smooth: dict[str, Any] = {"antialias": True} if mode in ("bilinear", "bicubic") else {}
    x = F.interpolate(x, size, mode=mode, **smooth).round().clamp(0, 255)
    out: Frame = x[0].permute(1, 2, 0).to(torch.uint8).numpy()
    return out


def rand_augment(image: Frame, operations: int, magnitude: int, key: tuple[int, ...]) -> Frame:
    """RandAugment (Cubuk et al., 2020, arXiv:1909.13719), torchvision's.

    It draws from PyTorch's global generator, so that is set by the key and given back afterwards.

    Args:
        image: uint8 (H, W, C), in RGB where it has colours.
        key: decides what is drawn.
    """
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
    x = torch.from_numpy(image).permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = _rand_augment(operations, magnitude)(x)
    out: Frame = x.permute(1, 2, 0).contiguous().numpy()
    return out


@cache
def _rand_augment(operations: int, magnitude: int) -> Any:
    from torchvision.transforms import v2

    return v2.RandAugment(operations, magnitude)
