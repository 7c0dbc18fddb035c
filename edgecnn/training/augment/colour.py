"""What colour the pixels of a batch have."""

from __future__ import annotations

import torch

from edgecnn.training.augment.draws import Draws
from edgecnn.training.recipe import Augment

# Of the RGB values of ImageNet's pixels on the scale 0 to 1: the covariance's eigenvalues and, in
# columns, its eigenvectors, as published with fb.resnet.torch.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
LUMA = (0.299, 0.587, 0.114)  # of R, G and B


def jitter(x: torch.Tensor, settings: Augment, draws: Draws, color: str) -> torch.Tensor:
    """Brightness, contrast and saturation, each by a factor of its own in 1 ± the setting.

    A factor f mixes an image with another, f · image + (1 - f) · other, and cuts at 0 and 255: with
    black, with its mean grey, with its own grey picture.
    """

    def factor(spread: float) -> torch.Tensor:
        drawn = draws.uniform() * 2 - 1
        return (1 + spread * drawn).to(x.device)[:, None, None, None]

    if settings.brightness:
        x = (x * factor(settings.brightness)).clamp(0, 255)
    if settings.contrast:
        f = factor(settings.contrast)
        x = (f * x + (1 - f) * grey(x, color).mean((1, 2, 3), keepdim=True)).clamp(0, 255)
    if settings.saturation and color != "gray":
        f = factor(settings.saturation)
        x = (f * x + (1 - f) * grey(x, color)).clamp(0, 255)
    return x


def grey(x: torch.Tensor, color: str) -> torch.Tensor:
    """(N, C, H, W) -> (N, 1, H, W)."""
    if color == "gray":
        return x
    weights = torch.tensor(LUMA if color == "rgb" else LUMA[::-1], device=x.device)
    return (x * weights[:, None, None]).sum(1, keepdim=True)


def pca_shift(x: torch.Tensor, std: float, draws: Draws, color: str) -> torch.Tensor:
    """AlexNet's colour shift (Krizhevsky et al., 2012): to each pixel of an image is added
    [p1, p2, p3] · [a1 λ1, a2 λ2, a3 λ3], with a drawn from N(0, std²) once for the image.

    The paper takes p and λ from its training set; these are ImageNet's for every data set, so that
    a recipe means the same everywhere. Grey images stay as they are.
    """
    if color == "gray":
        return x
    drawn = std * draws.normal(3)
    shift = (drawn * torch.tensor(EIGENVALUES)) @ torch.tensor(EIGENVECTORS).T * 255  # (N, 3) RGB
    if color == "bgr":
        shift = shift.flip(1)
    return x + shift.to(x.device)[:, :, None, None]
