"""What a filter sees beyond the image, and how much of the response is kept."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F

from edgecnn_runtime.errors import unknown_name

Boundary = Literal["zero", "extension", "mirror", "periodical"]
Extent = Literal["full", "same", "valid"]

# NumPy calls them constant, edge, reflect and wrap; SciPy constant, nearest, mirror and wrap;
# PyTorch constant, replicate, reflect and circular. A mirror does not repeat the border's pixel.
BOUNDARIES: tuple[str, ...] = get_args(Boundary)


def margins(size: int, extent: Extent) -> tuple[int, int]:
    """Pixels to add before and after an axis for a correlation with a kernel of this size.

    `full` keeps every place where the kernel touches the image, `same` those where its middle lies
    on it, `valid` those where the whole of it does. An even kernel's middle is right of the centre,
    as in SciPy.
    """
    sizes = {
        "full": (size - 1, size - 1),
        "same": (size // 2, (size - 1) // 2),
        "valid": (0, 0),
    }
    if extent not in sizes:
        raise unknown_name("extent", extent, sizes)
    return sizes[extent]


def enlarge(
    x: torch.Tensor, rows: tuple[int, int], columns: tuple[int, int], boundary: Boundary
) -> torch.Tensor:
    """Add margins to images as a boundary condition asks.

    Margins may be wider than the image, which is then mirrored or repeated more than once, as
    NumPy does; PyTorch's own padding refuses that.

    Args:
        x: (N, C, H, W), real or complex.
        rows: how many above and below. `columns`: left and right.

    Raises:
        InputError: no such boundary.
    """
    if boundary not in BOUNDARIES:
        raise unknown_name("boundary", boundary, BOUNDARIES)
    if boundary == "zero":
        return F.pad(x, (*columns, *rows))
    return _lengthen(_lengthen(x, -2, rows, boundary), -1, columns, boundary)


def _lengthen(
    x: torch.Tensor, axis: int, margin: tuple[int, int], boundary: Boundary
) -> torch.Tensor:
    before, after = margin
    size = x.shape[axis]
    parts = [x]
    if before:
        places = torch.arange(-before, 0, device=x.device)
        parts.insert(0, x.index_select(axis, _seen_at(places, size, boundary)))
    if after:
        places = torch.arange(after, device=x.device) + size
        parts.append(x.index_select(axis, _seen_at(places, size, boundary)))
    return torch.cat(parts, axis) if len(parts) > 1 else x


def _seen_at(places: torch.Tensor, size: int, boundary: Boundary) -> torch.Tensor:
    """Places on an axis without end -> those of the image that stand for them."""
    if boundary == "extension":
        return places.clamp(0, size - 1)
    if boundary == "periodical":
        return places % size
    period = 2 * size - 2 + (size == 1)  # there and back; a single pixel is its own mirror
    places = places % period
    return torch.minimum(places, period - places)
