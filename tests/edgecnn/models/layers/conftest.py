"""A photograph as layers take it."""

from __future__ import annotations

import pytest
import torch
from skimage import data


@pytest.fixture(scope="session")
def photograph() -> torch.Tensor:
    """float64 (1, 3, 64, 64), 0 to 1. Tests must not write into it."""
    picture = torch.from_numpy(data.astronaut()[::8, ::8].copy())
    return picture.permute(2, 0, 1)[None].double() / 255
