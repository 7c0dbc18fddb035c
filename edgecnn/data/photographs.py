"""Colour photographs that scikit-image carries: grey data would hide swapped channels."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

NAMES = ("astronaut", "coffee", "chelsea", "rocket")


@cache
def _photograph(name: str) -> Frame:
    from skimage import data

    rgb = getattr(data, name)()
    return np.ascontiguousarray(rgb[:, :, ::-1])


def colour_photographs() -> dict[str, Frame]:
    """The four photographs by name, whole: uint8 (H, W, 3) BGR."""
    return {name: _photograph(name) for name in NAMES}


def colour_crops(count: int = 64, seed: int = 0) -> list[Frame]:
    """Crops of odd sizes and places from four colour photographs: uint8 (H, W, 3) BGR."""
    rng = np.random.default_rng(seed)
    crops = []
    for i in range(count):
        photo = _photograph(NAMES[i % len(NAMES)])
        height, width = (int(rng.integers(97, side)) for side in photo.shape[:2])
        top = int(rng.integers(0, photo.shape[0] - height))
        left = int(rng.integers(0, photo.shape[1] - width))
        crops.append(photo[top : top + height, left : left + width].copy())
    return crops
