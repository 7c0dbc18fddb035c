"""What a device computes, as a module of PyTorch: from the camera's bytes to probabilities."""

from __future__ import annotations

import torch
from torch import nn

from edgecnn_runtime.manifest import Input


class Deployed(nn.Module):
    """Normalisation, network and softmax.

    Shape: uint8 (N, H, W, C) -> float32 (N, classes), and the logits of the same shape if asked.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, spec: Input, *, logits: bool = False) -> None:
        super().__init__()
        self.network, self.logits = network, logits
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", (1 / (255 * std))[:, None, None])
        self.register_buffer("shift", (-mean / std)[:, None, None])

    def forward(self, frames: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        # Cast first: TensorRT takes uint8 as an input and in no other layer.
        x = frames.float().permute(0, 3, 1, 2) * self.scale + self.shift  # (N, C, H, W)
        logits: torch.Tensor = self.network(x)
        probabilities = torch.softmax(logits, dim=1)
        return (probabilities, logits) if self.logits else probabilities
