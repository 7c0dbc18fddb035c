"""What a filter takes."""

from __future__ import annotations

import torch

from edgecnn_runtime.errors import InputError


def check_images(x: torch.Tensor) -> None:
    """Four dimensions and no fewer, since a channel can be told from a row by its place alone.

    Raises:
        InputError: another number of dimensions.
    """
    if x.dim() != 4:
        raise InputError(f"images of shape {tuple(x.shape)}; expected (N, C, H, W)")


def as_numbers(x: torch.Tensor) -> torch.Tensor:
    """Whole numbers as floating point: a difference of two bytes is no byte."""
    return x if _has_fractions(x.dtype) else x.to(torch.get_default_dtype())


def common_type(x: torch.Tensor, y: torch.Tensor) -> torch.dtype:
    """The type, floating point or complex, that a product of both needs."""
    dtype = torch.promote_types(x.dtype, y.dtype)
    return dtype if _has_fractions(dtype) else torch.get_default_dtype()


def _has_fractions(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype.is_complex
