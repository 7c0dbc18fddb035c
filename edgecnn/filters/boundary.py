"""What a filter sees beyond the image, and how much of the response is kept."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from edgecnn_runtime.errors import InputError, unknown_name

Boundary = Literal["zero", "extension", "mirror", "periodical"]
Extent = Literal["full", "same", "valid"]

# The same four in PyTorch. NumPy calls them constant, edge, reflect and wrap; SciPy constant,
# nearest, mirror and wrap. A mirror does not repeat the pixel on the border.
BOUNDARIES: dict[str, str] = {
    "zero": "constant",
    "extension": "replicate",
    "mirror": "reflect",
    "periodical": "circular",
}


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

    Args:
        x: (N, C, H, W), real or complex.
        rows: how many above and below. `columns`: left and right.

    Raises:
        InputError: the image is too small to be mirrored or repeated so far; no such boundary.
    """
    if boundary not in BOUNDARIES:
        raise unknown_name("boundary", boundary, BOUNDARIES)
    if not any((*rows, *columns)):
        return x
    if x.is_complex():
        return torch.complex(
            enlarge(x.real, rows, columns, boundary), enlarge(x.imag, rows, columns, boundary)
        )
    for size, margin in ((x.shape[-2], max(rows)), (x.shape[-1], max(columns))):
        largest = {"mirror": size - 1, "periodical": size}.get(boundary, margin)
        if margin > largest:
            raise InputError(
                f"an image of {x.shape[-2]}x{x.shape[-1]} cannot be enlarged by {margin} with"
                f" boundary {boundary!r}; expected at most {largest}: use a smaller filter or"
                " 'extension'"
            )
    return F.pad(x, (*columns, *rows), mode=BOUNDARIES[boundary])
