"""Distortions of a whole batch, on whichever device it lies."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from edgecnn.training.recipe import Augment


def augment(x: torch.Tensor, settings: Augment, generator: torch.Generator) -> torch.Tensor:
    """Mirror, turn and distort each image of a batch on its own.

    Args:
        x: float (N, C, H, W) on the scale 0 to 255; what moves in from outside is 0.
        generator: on the CPU; the only source of randomness.

    Returns:
        float (N, C, H, W).
    """
    count = len(x)

    def chosen() -> torch.Tensor:
        return (torch.rand(count, generator=generator) < 0.5).to(x.device)[:, None, None, None]

    if settings.hflip:
        x = torch.where(chosen(), x.flip(3), x)
    if settings.vflip:
        x = torch.where(chosen(), x.flip(2), x)
    if settings.rot90:
        turns = torch.randint(0, 4, (count,), generator=generator).to(x.device)
        for quarter in (1, 2, 3):
            where = (turns == quarter)[:, None, None, None]
            x = torch.where(where, x.rot90(quarter, (2, 3)), x)
    if is_affine(settings):
        x = _affine(x, settings, generator)
    return x


def is_affine(settings: Augment) -> bool:
    still = (settings.degrees, settings.translate, settings.shear) == (0, 0, 0)
    return not still or settings.scale != (1.0, 1.0)


def _affine(x: torch.Tensor, settings: Augment, generator: torch.Generator) -> torch.Tensor:
    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(len(x), generator=generator)

    angle = uniform(-settings.degrees, settings.degrees) * (math.pi / 180)
    shear = torch.tan(uniform(-settings.shear, settings.shear) * (math.pi / 180))
    scale = uniform(*settings.scale)
    across = uniform(-2 * settings.translate, 2 * settings.translate)
    down = uniform(-2 * settings.translate, 2 * settings.translate)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    theta = torch.stack(
        [
            torch.stack([cos, cos * shear - sin, across], 1),
            torch.stack([sin, sin * shear + cos, down], 1),
        ],
        1,
    ).to(x.device)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
