"""Denoising by a non-linear shrinkage of wavelet coefficients."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from edgecnn.filters.boundary import enlarge
from edgecnn.filters.wavelets import Coefficients, Details, HaarFrame, HaarWavelet
from edgecnn_runtime.errors import InputError

Shrinkage = Literal["soft", "hard"]


def shrink(x: torch.Tensor, threshold: float, how: Shrinkage = "soft") -> torch.Tensor:
    """Set small coefficients to zero; `soft` draws the others towards zero by the threshold."""
    if how == "hard":
        return torch.where(x.abs() > threshold, x, torch.zeros_like(x))
    return x - x.clamp(-threshold, threshold)


class Denoise(nn.Module):
    """Take white noise out of an image by shrinking its details at every scale.

    The image is mirrored at its edges first: seen as periodical, opposite edges would meet in a
    step that is no noise.

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
        if noise < 0 or strength < 0:
            raise InputError(f"noise {noise:g}, strength {strength:g}; expected 0 or more")
        self.noise, self.strength, self.how = noise, strength, how
        self.transform = transform or HaarFrame(levels=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        margin = 2**self.transform.levels
        around = (margin, margin)
        found: Coefficients = self.transform(enlarge(x, around, around, "mirror"))
        details = tuple(
            Details(*(shrink(band, self._threshold(level), self.how) for band in scale))
            for level, scale in enumerate(found.details, start=1)
        )
        restored = self.transform.synthesis(found._replace(details=details))
        return restored[..., margin:-margin, margin:-margin]

    def _threshold(self, level: int) -> float:
        return self.strength * self.noise * self.transform.gain**level

    def extra_repr(self) -> str:
        return f"noise={self.noise}, strength={self.strength}, {self.how}"
