"""Denoising by a non-linear shrinkage of wavelet coefficients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from edgecnn.filters.wavelets import Coefficients, Details, HaarFrame, HaarWavelet

Shrinkage = Literal["soft", "hard"]


def shrink(x: torch.Tensor, threshold: float, how: Shrinkage = "soft") -> torch.Tensor:
    """Set small coefficients to zero; `soft` draws the others towards zero by the threshold."""
    if how == "hard":
        return torch.where(x.abs() > threshold, x, torch.zeros_like(x))
    return x - x.clamp(-threshold, threshold)


class Denoise(nn.Module):
    """Take white noise out of an image by shrinking its details at every scale.

    Args:
        noise: its standard deviation, on the scale of the image.
        transform: the redundant frame does better than the orthogonal wavelet, which shows blocks.
        strength: the threshold in standard deviations of the noise in a coefficient.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(
        self,
        noise: float,
        transform: HaarFrame | HaarWavelet | None = None,
        *,
        strength: float = 1.5,
        how: Shrinkage = "soft",
    ) -> None:
        super().__init__()
        self.noise, self.strength, self.how = noise, strength, how
        self.transform = transform or HaarFrame(levels=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: Coefficients = self.transform(x)
        details = tuple(
            Details(*(shrink(band, self._threshold(level), self.how) for band in scale))
            for level, scale in enumerate(found.details, start=1)
        )
        return self.transform.synthesis(found._replace(details=details))

    def _threshold(self, level: int) -> float:
        return self.strength * self.noise * self.transform.gain**level

    def extra_repr(self) -> str:
        return f"noise={self.noise}, strength={self.strength}, {self.how}"
