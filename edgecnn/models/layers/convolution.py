"""Convolutions with what usually follows them."""

from __future__ import annotations

from torch import nn

Size = int | tuple[int, int]


def round_channels(channels: float, divisor: int = 8) -> int:
    """Channels of a scaled layer: the nearest multiple of `divisor`, never under 90% of the value.

    Source: the MobileNet authors' own code; a lower count would fall through the 90%.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def same(kernel: Size) -> Size:
    """The padding that keeps the size at stride 1."""
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


class ConvReLU(nn.Sequential):
    """Convolution with bias, ReLU. Keeps the size at stride 1, unless `padding` says otherwise.

    Shape: (N, in, H, W) -> (N, out, H', W').
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
    ) -> None:
        around = same(kernel) if padding is None else padding
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, around, groups=groups),
            nn.ReLU(inplace=True),
        )


class ConvBN(nn.Sequential):
    """Convolution, batch norm, activation. Keeps the size at stride 1, unless `padding` says not.

    Args:
        activation: ReLU by default; None for a linear output.
        bias: of the convolution; batch norm makes it redundant, and some papers have it.
        eps, momentum: of the batch norm.

    Shape: (N, in, H, W) -> (N, out, H', W').
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Size = 3,
        stride: int = 1,
        padding: Size | None = None,
        groups: int = 1,
        *,
        activation: type[nn.Module] | None = nn.ReLU,
        bias: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        around = same(kernel) if padding is None else padding
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, around, groups=groups, bias=bias),
            nn.BatchNorm2d(outputs, eps, momentum),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)


class SeparableConv(nn.Sequential):
    """Depthwise 3x3, then pointwise 1x1, each with batch norm and ReLU6 (Howard et al., 2017).

    Shape: (N, in, H, W) -> (N, out, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            ConvBN(inputs, inputs, stride=stride, groups=inputs, activation=nn.ReLU6),
            ConvBN(inputs, outputs, kernel=1, activation=nn.ReLU6),
        )
