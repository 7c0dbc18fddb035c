"""The backward pass of a convolution, written out: both gradients are correlations themselves."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def weight_gradient(
    h: torch.Tensor, delta: torch.Tensor, kernel: int, *, stride: int = 1, padding: int = 0
) -> torch.Tensor:
    """The gradient of the weights, δ ⋆ h: how h looks, on average, where δ is large.

    Args:
        h: (N, C, H, W), what went into the layer.
        delta: (N, K, H', W'), the gradient of what came out.
        kernel: side of the layer's kernels, to which the result is cut.

    Returns:
        (K, C, kernel, kernel), summed over the batch.
    """
    spread = _spread(delta, stride).transpose(0, 1)  # (K, N, ...): the batch takes the sum's place
    whole = F.conv2d(F.pad(h, (padding,) * 4).transpose(0, 1), spread)  # (C, K, ...)
    return whole.transpose(0, 1)[..., :kernel, :kernel]


def input_gradient(
    weight: torch.Tensor,
    delta: torch.Tensor,
    size: tuple[int, int],
    *,
    stride: int = 1,
    padding: int = 0,
) -> torch.Tensor:
    """The gradient of the layer's input: the flipped kernel ⋆ δ, where it touches δ at all.

    Args:
        weight: (K, C, n, n).
        delta: (N, K, H', W'), the gradient of what came out.
        size: (H, W) of what went in.

    Returns:
        (N, C, H, W).
    """
    n = weight.shape[-1]
    spread = _spread(delta, stride)
    # Places that no window reached, at the lower and right end, get a gradient of zero.
    rest = [side + 2 * padding - n + 1 - s for side, s in zip(size, spread.shape[-2:], strict=True)]
    around = (n - 1, n - 1 + rest[1], n - 1, n - 1 + rest[0])
    flipped = weight.flip(-2, -1).transpose(0, 1)  # (C, K, n, n)
    whole = F.conv2d(F.pad(spread, around), flipped)
    return whole[..., padding : padding + size[0], padding : padding + size[1]]


def _spread(delta: torch.Tensor, stride: int) -> torch.Tensor:
    """The backward pass of striding: zeros between."""
    if stride == 1:
        return delta
    height, width = delta.shape[-2:]
    spread = delta.new_zeros(*delta.shape[:2], (height - 1) * stride + 1, (width - 1) * stride + 1)
    spread[..., ::stride, ::stride] = delta
    return spread
