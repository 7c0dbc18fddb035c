"""Where the pixels of a batch go."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from edgecnn.training.augment.draws import Draws
from edgecnn.training.recipe import Augment


def mirror_and_turn(x: torch.Tensor, settings: Augment, draws: Draws) -> torch.Tensor:
    def chosen() -> torch.Tensor:
        return (draws.uniform() < 0.5).to(x.device)[:, None, None, None]

    if settings.hflip:
        x = torch.where(chosen(), x.flip(3), x)
    if settings.vflip:
        x = torch.where(chosen(), x.flip(2), x)
    if settings.rot90:
        turns = draws.integers(4).to(x.device)
        square = x.shape[2] == x.shape[3]
        if not square:
            turns = 2 * (turns % 2)
        for quarter in (1, 2, 3) if square else (2,):
            where = (turns == quarter)[:, None, None, None]
            x = torch.where(where, x.rot90(quarter, (2, 3)), x)
    return x


def is_affine(settings: Augment) -> bool:
    still = (settings.degrees, settings.translate, settings.shear) == (0, 0, 0)
    return not still or settings.scale != (1.0, 1.0)


def affine(x: torch.Tensor, settings: Augment, draws: Draws) -> torch.Tensor:
    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * draws.uniform()

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


def elastic(x: torch.Tensor, alpha: float, sigma: float, draws: Draws) -> torch.Tensor:
    """Elastic distortions (Simard, Steinkraus, Platt, 2003, Best practices for CNNs).

    Each pixel is taken from a place that is displaced by alpha times a field of uniform numbers
    in ±1, smoothed by a Gaussian of `sigma`; both in pixels. Between pixels it is bilinear.
    """
    count, _, height, width = x.shape
    noise = draws.uniform(2, height, width).to(x.device) * 2 - 1
    moved = alpha * _smooth(noise, sigma)  # (N, 2, H, W): across, down
    size = torch.tensor([width, height], device=x.device)
    still = torch.eye(2, 3, device=x.device).expand(count, 2, 3)
    grid = F.affine_grid(still, list(x.shape), align_corners=False)
    grid = grid + moved.permute(0, 2, 3, 1) * (2 / size)  # the grid goes from -1 to 1
    return F.grid_sample(x, grid, align_corners=False)


def _smooth(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian over rows and then columns, cut at four sigma, zeros beyond the border."""
    radius = int(4 * sigma + 0.5)
    places = torch.arange(-radius, radius + 1, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    groups = x.shape[1]
    x = F.conv2d(x, kernel, padding=(0, radius), groups=groups)
    return F.conv2d(x, kernel.transpose(2, 3), padding=(radius, 0), groups=groups)


def pad_crop(x: torch.Tensor, share: float, draws: Draws) -> torch.Tensor:
    """A border of zeros, `share` of each side, and a crop of the old size from anywhere in it."""
    height, width = x.shape[2:]
    down, across = round(height * share), round(width * share)
    padded = F.pad(x, (across, across, down, down))
    top = draws.integers(2 * down + 1).tolist()
    left = draws.integers(2 * across + 1).tolist()
    crops = [
        image[:, t : t + height, c : c + width]
        for image, t, c in zip(padded, top, left, strict=True)
    ]
    return torch.stack(crops).contiguous(memory_format=torch.channels_last)
