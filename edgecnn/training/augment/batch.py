"""Distortions of a whole batch, on whichever device it lies."""

from __future__ import annotations

import torch

from edgecnn.training.augment.colour import jitter, pca_shift
from edgecnn.training.augment.draws import Draws
from edgecnn.training.augment.geometry import affine, elastic, is_affine, mirror_and_turn, pad_crop
from edgecnn.training.recipe import Augment
from edgecnn.training.share import Share


def augment(
    x: torch.Tensor,
    settings: Augment,
    generator: torch.Generator,
    color: str = "rgb",
    share: Share | None = None,
) -> torch.Tensor:
    """Mirror, turn, distort and colour each image of a batch on its own.

    Args:
        x: float (N, C, H, W) on the scale 0 to 255; what moves in from outside is 0.
        generator: on the CPU; the only source of randomness.
        color: the order of the channels, `rgb` or `bgr`, or `gray`.
        share: which part of a larger batch `x` is; it is distorted as it would be in there.

    Returns:
        float (N, C, H, W); colours may leave the scale, as AlexNet's do.
    """
    draws = Draws(generator, len(x), share or Share())
    x = mirror_and_turn(x, settings, draws)
    if is_affine(settings):
        x = affine(x, settings, draws)
    if settings.elastic is not None:
        x = elastic(x, *settings.elastic, draws)
    if settings.pad:
        x = pad_crop(x, settings.pad, draws)
    if settings.brightness or settings.contrast or settings.saturation:
        x = jitter(x, settings, draws, color)
    if settings.pca:
        x = pca_shift(x, settings.pca, draws, color)
    return x
