"""LeNet-5 as it is taught today: dense C3, plain averages, a softmax in place of the RBF.

After LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document
recognition; `lenet5.py` has the network as printed.
"""

from __future__ import annotations

from torch import nn

from edgecnn.models.layers import ConvNet, lecun_init


class LeNet5Modern(ConvNet):
    """LeNet-5 with 61,706 trainable parameters.

    Args:
        num_classes: length of the logits.
        in_channels: 1 for grey, 3 for colour.

    Shape: (N, in_channels, 32, 32) float32 -> (N, num_classes). Larger inputs are averaged over
    the last map; smaller ones are an error.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),  # 28x28
            nn.Tanh(),
            nn.AvgPool2d(2),  # 14x14
            nn.Conv2d(6, 16, 5),  # 10x10
            nn.Tanh(),
            nn.AvgPool2d(2),  # 5x5
            nn.Conv2d(16, 120, 5),  # 1x1
            nn.Tanh(),
        )
        classifier = nn.Sequential(nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, num_classes))
        super().__init__(features, classifier)
        lecun_init(self)
