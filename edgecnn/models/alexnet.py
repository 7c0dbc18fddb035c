"""AlexNet: as printed (Krizhevsky, Sutskever, Hinton, 2012), and in one tower (Krizhevsky, 2014).

ImageNet classification with deep convolutional neural networks, NIPS 2012; One weird trick for
parallelizing convolutional neural networks, https://arxiv.org/abs/1404.5997.
"""

from __future__ import annotations

from torch import nn

from edgecnn.models.layers import AdaptivePool, ConvNet, ConvReLU, LocalResponseNorm, he_init


class AlexNet(ConvNet):
    """One tower, without local response normalisation: the form whose weights are published.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 224 in the paper, at least 63.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        features = nn.Sequential(
            ConvReLU(in_channels, 64, 11, stride=4, padding=2),  # 55
            nn.MaxPool2d(3, 2),  # 27: windows overlap
            ConvReLU(64, 192, 5),
            nn.MaxPool2d(3, 2),  # 13
            ConvReLU(192, 384),
            ConvReLU(384, 256),
            ConvReLU(256, 256),
            nn.MaxPool2d(3, 2),  # 6
        )
        super().__init__(features, _classifier(256, num_classes), AdaptivePool(6))
        he_init(self)


class AlexNetTwoTower(ConvNet):
    """The paper's network: the towers, one for each of its two GPUs, are groups of two.

    Args:
        num_classes: length of the logits.
        in_channels: 3 for colour, 1 for grey.

    Shape: (N, in_channels, R, R) float32 -> (N, num_classes); R is 227, at least 67. The paper
    says 224, from which its own sizes do not follow.
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        features = nn.Sequential(
            ConvReLU(in_channels, 96, 11, stride=4, padding=0),  # 55
            LocalResponseNorm(),
            nn.MaxPool2d(3, 2),  # 27
            ConvReLU(96, 256, 5, groups=2),
            LocalResponseNorm(),
            nn.MaxPool2d(3, 2),  # 13
            ConvReLU(256, 384),  # the towers meet here, and in the classifier
            ConvReLU(384, 384, groups=2),
            ConvReLU(384, 256, groups=2),
            nn.MaxPool2d(3, 2),  # 6
        )
        super().__init__(features, _classifier(256, num_classes), AdaptivePool(6))
        he_init(self)


def _classifier(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(channels * 6 * 6, 4096),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(inplace=True),
        nn.Linear(4096, num_classes),
    )
