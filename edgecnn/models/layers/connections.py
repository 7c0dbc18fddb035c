"""Convolutions with fewer connections than PyTorch's, or without shared weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn_runtime.errors import InputError


class LocallyConnected2d(nn.Module):
    """A convolution whose weights are not shared: every place has a kernel of its own.

    Zeros beyond the image; the output has its size. An even kernel's middle is right of the centre.

    Args:
        size: (H, W) of the image.
        kernel: side of the window.

    Shape: (N, inputs, H, W) -> (N, outputs, H, W).

    Raises:
        InputError: in the forward pass, an image of another size.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        kernel: int,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.size, self.kernel = size, kernel
        seen, places = inputs * kernel**2, math.prod(size)
        self.weight = nn.Parameter(torch.empty(outputs, seen, places, device=device))
        nn.init.normal_(self.weight, 0, math.sqrt(2 / seen))
        self.bias = nn.Parameter(torch.zeros(outputs, *size, device=device)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before, after = self.kernel // 2, (self.kernel - 1) // 2
        windows = F.unfold(F.pad(x, (before, after, before, after)), self.kernel)
        height, width = int(x.shape[-2]), int(x.shape[-1])
        if (height, width) != self.size:
            raise InputError(
                f"an image of {height}x{width}; this layer has a kernel for each place of"
                f" {self.size[0]}x{self.size[1]}"
            )
        out = torch.einsum("nsp,osp->nop", windows, self.weight)
        out = out.reshape(x.shape[0], -1, *self.size)
        return out if self.bias is None else out + self.bias

    def macs(self, output: torch.Size) -> int:
        """Multiply-accumulates for one image: each weight is used once."""
        return self.weight.numel()


class SparseConv(nn.Module):
    """A convolution in which each output map sees only the input maps of a table (LeCun, 1998).

    The weight holds one kernel per connection, so nothing trains that the table does not have.

    Args:
        table: the input maps that each output map sees.
        inputs: how many input maps there are.
        kernel: side of the kernels.

    Shape: (N, inputs, H, W) -> (N, len(table), H - kernel + 1, W - kernel + 1).
    """

    index: torch.Tensor

    def __init__(self, table: Sequence[Sequence[int]], inputs: int, kernel: int) -> None:
        super().__init__()
        connections = sum(len(row) for row in table)
        self.weight = nn.Parameter(torch.empty(connections, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        # Where each dense kernel stands among the connections; the last entry is a kernel of zeros.
        index = torch.full((len(table), inputs), connections)
        start = 0
        for output, row in enumerate(table):
            for number, plane in enumerate(row, start):
                index[output, plane] = number
            bound = 2.4 / (len(row) * kernel**2)  # the paper's, by the fan-in
            nn.init.uniform_(self.weight.data[start : start + len(row)], -bound, bound)
            start += len(row)
        self.register_buffer("index", index, persistent=False)

    def dense_weight(self) -> torch.Tensor:
        """The kernels at their places in a dense weight, zeros between.

        Returns:
            (len(table), inputs, kernel, kernel).
        """
        zeros = self.weight.new_zeros(1, *self.weight.shape[1:])
        dense: torch.Tensor = torch.cat([self.weight, zeros])[self.index]
        return dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.dense_weight(), self.bias)

    def macs(self, output: torch.Size) -> int:
        """Multiply-accumulates for one image: only the connections count."""
        return self.weight.numel() * output[-2] * output[-1]
