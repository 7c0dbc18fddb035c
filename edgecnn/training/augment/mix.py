"""Two images and their labels as one."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from edgecnn.training.recipe import Augment

OWN = 1  # behind key and rank: what orders and crops images draws from keys without it


def mix(
    x: torch.Tensor,
    targets: torch.Tensor,
    classes: int,
    settings: Augment,
    key: tuple[int, int],
    rank: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al., 2018, arXiv:1710.09412) or CutMix (Yun et al., 2019, arXiv:1905.04899).

    A share λ from Beta(alpha, alpha), one for the batch, is left of each image. Mixup adds 1 - λ of
    another one; CutMix pastes a box of 1 - λ of its area, and λ is then what the box, cut at the
    border, has left. The labels are mixed by λ too.

    Args:
        x: (N, C, H, W).
        targets: (N,), the class of each.
        key: seed and step; nothing but these and `rank` decides what is drawn.
        rank: of the process that mixes these images of a step.

    Returns:
        Images (N, C, H, W), and targets (N, classes) as probabilities.
    """
    rng = np.random.default_rng((*key, rank, OWN))
    cuts = settings.cutmix > 0 and (settings.mixup == 0 or rng.random() < 0.5)
    alpha = settings.cutmix if cuts else settings.mixup
    left = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    if cuts:
        x, left = _paste(x, x[other], left, rng)
    else:
        x = left * x + (1 - left) * x[other]
    wanted = F.one_hot(targets, classes).to(x.dtype)
    return x, left * wanted + (1 - left) * wanted[other]


def _paste(
    x: torch.Tensor, other: torch.Tensor, left: float, rng: np.random.Generator
) -> tuple[torch.Tensor, float]:
    height, width = x.shape[2:]
    side = math.sqrt(1 - left)
    middle_y, middle_x = int(rng.integers(height)), int(rng.integers(width))
    half_y, half_x = int(height * side / 2), int(width * side / 2)
    top, bottom = max(0, middle_y - half_y), min(height, middle_y + half_y)
    start, end = max(0, middle_x - half_x), min(width, middle_x + half_x)
    x = x.clone()
    x[:, :, top:bottom, start:end] = other[:, :, top:bottom, start:end]
    return x, 1 - (bottom - top) * (end - start) / (height * width)
