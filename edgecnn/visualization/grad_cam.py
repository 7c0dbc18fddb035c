"""Grad-CAM: which places of the picture speak for a class.

Selvaraju et al. (2017), Grad-CAM, https://arxiv.org/abs/1610.02391.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.visualization.maps import map_of, recorded


def grad_cam(
    network: nn.Module, x: torch.Tensor, layer: str, classes: torch.Tensor
) -> torch.Tensor:
    """relu(sum over channels of a_c · map_c), a_c the mean gradient of the class's logit in map c.

    Args:
        network: (N, C, H, W) -> logits, in evaluation mode.
        layer: whose maps are weighed; the last one that has places, in the paper.
        classes: (N,), the class to look for in each image.

    Returns:
        (N, h, w), of the layer's maps and on no scale: only the places of one picture compare.
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad(), recorded(network, [layer]) as maps:
        logits = network(x)
        (slope,) = torch.autograd.grad(
            logits.gather(1, classes[:, None]).sum(), map_of(maps, layer)
        )
    weights = slope.mean((2, 3), keepdim=True)
    return F.relu((weights * maps[layer]).sum(1)).detach()


def enlarged(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Each map from 0 to its largest value as 0 to 1, (N, h, w) -> (N, H, W) of the picture."""
    largest = maps.amax((1, 2), keepdim=True)
    shares = maps / torch.where(largest > 0, largest, 1.0)
    wide = F.interpolate(shares[:, None], size, mode="bilinear", align_corners=False)
    return wide[:, 0]
