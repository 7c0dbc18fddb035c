"""A moving average of the weights, which is steadier than the weights themselves."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of parameters and of batch norm's statistics.

    After n steps it forgets by min(decay, (1 + n) / (10 + n)), as TensorFlow's does: at first the
    weights are those of chance, and an average over thousands of steps would keep them.

    `update_parameters(network)` belongs behind each step; `.module` is the averaged network.
    """

    @torch.no_grad()
    def towards(
        means: tuple[torch.Tensor, ...] | list[torch.Tensor],
        values: tuple[torch.Tensor, ...] | list[torch.Tensor],
        updates: torch.Tensor | int,
    ) -> None:
        n = int(updates)
        new = 1 - min(decay, (1 + n) / (10 + n))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), new)
            else:  # how many batches batch norm has seen
                mean.copy_(value)

    model = AveragedModel(network, multi_avg_fn=towards, use_buffers=True)
    return model.requires_grad_(False)
