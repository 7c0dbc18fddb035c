"""Distortions of a whole batch, on whichever device it lies."""

from __future__ import annotations

import torch

from edgecnn.training.augment.colour import jitter, pca_shift
from edgecnn.training.augment.geometry import affine, elastic, is_affine, mirror_and_turn, pad_crop
from edgecnn.training.recipe import Augment


def augment(
    x: torch.Tensor, settings: Augment, generator: torch.Generator, color: str = "rgb"
) -> torch.Tensor:
    """Mirror, turn, distort and colour each image of a batch on its own.

    Args:
        x: float (N, C, H, W) on the scale 0 to 255; what moves in from outside is 0.
        generator: on the CPU; the only source of randomness.
        color: the order of the channels, `rgb` or `bgr`, or `gray`.

    Returns:
        float (N, C, H, W); colours may leave the scale, as AlexNet's do.
    """
    x = mirror_and_turn(x, settings, generator)
    if is_affine(settings):
        x = affine(x, settings, generator)
    if settings.elastic is not None:
        x = elastic(x, *settings.elastic, generator)
    if settings.pad:
        x = pad_crop(x, settings.pad, generator)
    if settings.brightness or settings.contrast or settings.saturation:
        x = jitter(x, settings, generator, color)
    if settings.pca:
        x = pca_shift(x, settings.pca, generator, color)
    return x
