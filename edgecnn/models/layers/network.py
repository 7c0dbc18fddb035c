"""What most networks are: features, a pooling, a classifier; some with auxiliary heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class ConvNet(nn.Module):
    """Features, pooling, classifier.

    Args:
        features: (N, C, H, W) -> the last feature map.
        classifier: (N, everything that the pooling leaves) -> (N, num_classes).
        pool: averages over the whole map by default.

    Shape: (N, C, H, W) float32 -> (N, num_classes).
    """

    def __init__(
        self, features: nn.Module, classifier: nn.Module, pool: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.features = features
        self.pool = pool or nn.AdaptiveAvgPool2d(1)
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor | AuxiliaryLogits:
        return self.classify(self.features(x))

    def classify(self, x: torch.Tensor) -> torch.Tensor:
        """The last feature map -> logits."""
        logits: torch.Tensor = self.classifier(self.pool(x).flatten(1))
        return logits


class AuxiliaryLogits(NamedTuple):
    """What a network with auxiliary heads answers with in training.

    Attributes:
        weight: of each head's loss beside the main one, as the paper has it.
    """

    logits: torch.Tensor  # (N, num_classes)
    auxiliary: tuple[torch.Tensor, ...]  # each (N, num_classes)
    weight: float


class Auxiliaries(nn.ModuleDict):
    """Heads that only training runs; they count as no part of the network."""


class ConvNetWithHeads(ConvNet):
    """A network with classifiers in the middle, which feed gradients to its lower layers.

    Args:
        features: named layers, in the order in which they run.
        heads: name of a layer -> the head that reads it.
        weight: of each head's loss.

    Shape: (N, C, H, W) float32 -> (N, num_classes); AuxiliaryLogits in training.
    """

    def __init__(
        self,
        features: nn.Sequential,
        classifier: nn.Module,
        heads: dict[str, nn.Module],
        weight: float,
    ) -> None:
        super().__init__(features, classifier)
        self.heads = Auxiliaries(heads)
        self.weight = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor | AuxiliaryLogits:
        if not self.training:
            return super().forward(x)
        auxiliary = []
        for name, layer in self.features.named_children():
            x = layer(x)
            if name in self.heads:
                auxiliary.append(self.heads[name](x))
        return AuxiliaryLogits(self.classify(x), tuple(auxiliary), self.weight)
