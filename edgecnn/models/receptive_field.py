"""What a unit sees of the input, found by sending places in place of values through a network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Seen:
    """A feature map that knows for each unit which input columns reach it, and nothing else.

    PyTorch's functions call `__torch_function__` in place of themselves, so a network runs on this
    as it runs on a tensor, and the answer comes from what it does rather than from what it says.
    One row stands for the map: all networks see as far down as across.

    Attributes:
        first, last: input columns, (1, 1, 1, W) each.
        depth: layers with weights on the longest way here.
    """

    first: torch.Tensor = field(repr=False)
    last: torch.Tensor = field(repr=False)
    depth: int = 0

    @classmethod
    def all_of(cls, width: int) -> Seen:
        """An input of this width: each pixel sees itself."""
        columns = torch.arange(width, dtype=torch.float64, device="cpu").view(1, 1, 1, -1)
        return cls(columns, columns)

    @property
    def pixels(self) -> int:
        """Columns that the unit in the middle sees."""
        middle = self.first.shape[-1] // 2
        return int(self.last[..., middle] - self.first[..., middle]) + 1

    @property
    def stride(self) -> int:
        """Input columns between neighbouring units; 0 where there is only one."""
        middle = self.first.shape[-1] // 2
        return int(self.first[..., middle] - self.first[..., middle - 1]) if middle else 0

    @property
    def is_cut(self) -> bool:
        """Whether the input is too narrow for what the units in the middle would see."""
        middle = self.first.shape[-1] // 2
        left, right = self.first[..., middle - 1], self.last[..., middle]
        return middle == 0 or bool(left <= 0) or bool(right >= self.last.max())

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """No channels: places are all that is known, and 0 divides into groups of any size."""
        return (1, 0, 1, self.first.shape[-1])

    def dim(self) -> int:
        return 4

    def join(self, other: object) -> Seen:
        """What two maps see together; a gate of one unit, as in squeeze-and-excitation, adds none.

        The gate sees the whole image, which would be the answer for every network that has one.
        """
        if not isinstance(other, Seen):
            return self
        depth = max(self.depth, other.depth)
        if other.shape != self.shape:
            wide = max(self, other, key=lambda seen: seen.shape[-1])
            return Seen(wide.first, wide.last, wide.depth)
        first, last = torch.minimum(self.first, other.first), torch.maximum(self.last, other.last)
        return Seen(first, last, depth)

    def window(
        self, kernel: int, stride: int, padding: int, dilation: int = 1, *, ceil: bool = False
    ) -> Seen:
        """A convolution or a pooling."""

        def largest(x: torch.Tensor) -> torch.Tensor:
            x = F.pad(x, (padding, padding), value=-torch.inf)
            return F.max_pool2d(x, (1, kernel), (1, stride), 0, (1, dilation), ceil)

        return Seen(-largest(-self.first), largest(self.last), self.depth)

    def pad(self, left: int, right: int) -> Seen:
        """Zeros on both sides, which see nothing."""
        return Seen(
            F.pad(self.first, (left, right), value=torch.inf),
            F.pad(self.last, (left, right), value=-torch.inf),
            self.depth,
        )

    def __getitem__(self, key: tuple[Any, ...]) -> Seen:
        """A choice of places, `[..., rows, columns]`, or of channels, which changes nothing."""
        if key[0] is not Ellipsis:
            return self
        return Seen(self.first[..., key[-1]], self.last[..., key[-1]], self.depth)

    def _pointwise(self, *_: object, **__: object) -> Seen:
        return self

    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __truediv__ = join
    __gt__ = abs = clamp = detach = pow = square = _pointwise

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Seen:
        name = func.__name__.rstrip("_")
        if name not in FUNCTIONS:
            raise NotImplementedError(f"what a unit sees through {name} is not known")
        return FUNCTIONS[name](*args, **(kwargs or {}))


def _across(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[-1]


def _convolution(
    x: Seen, weight: torch.Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Seen:  # fmt: skip
    kernel, numbers = weight.shape[-1], (stride, padding, dilation)
    seen = x.window(kernel, *(_across(n) for n in numbers))
    return Seen(seen.first, seen.last, x.depth + 1)


def _max_pool(
    x: Seen, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Seen:  # fmt: skip
    stride = kernel_size if stride is None else stride
    numbers = (_across(n) for n in (kernel_size, stride, padding, dilation))
    return x.window(*numbers, ceil=ceil_mode)


def _average_pool(
    x: Seen, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    *_: Any,
) -> Seen:  # fmt: skip
    return _max_pool(x, kernel_size, stride, padding, 1, ceil_mode)


def _whole(x: Seen, output_size: Any) -> Seen:
    if _across(output_size) != 1:
        raise NotImplementedError("adaptive pooling to more than one unit")
    return Seen(x.first.amin(-1, keepdim=True), x.last.amax(-1, keepdim=True), x.depth)


def _concatenation(maps: list[Seen], *_: Any) -> Seen:
    joined = maps[0]
    for seen in maps[1:]:
        joined = joined.join(seen)
    return joined


def _padding(x: Seen, pad: tuple[int, ...], *_: Any, **__: Any) -> Seen:
    return x.pad(pad[0], pad[1])


def _where(condition: Seen, *values: object) -> Seen:
    return _concatenation([condition, *(v for v in values if isinstance(v, Seen))])


def _pointwise(x: Seen, *_: Any, **__: Any) -> Seen:
    return x


FUNCTIONS: dict[str, Callable[..., Seen]] = {
    "conv2d": _convolution,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool2d": _whole,
    "cat": _concatenation,
    "maximum": Seen.join,
    "pad": _padding,
    "where": _where,
    **dict.fromkeys(
        (
            "batch_norm", "dropout", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
            "local_response_norm", "relu", "sigmoid", "silu", "softsign", "tanh",
        ),
        _pointwise,
    ),
}  # fmt: skip

WIDEST = 1 << 16


def see(network: nn.Module) -> dict[str, Seen]:
    """What the units of each layer of `network.features` see, by the layer's name.

    The input grows until it holds the field of the last feature map.
    """
    features = network.get_submodule("features")
    width = 1024
    while True:
        seen = _walk_features(features, width)
        if not seen["features"].is_cut or width >= WIDEST:
            return seen
        width *= 2


def fields(network: nn.Module, width: int) -> dict[str, Seen]:
    """What the units of each layer see of an input of this width, by the layer's name.

    For any network, as far as places can be followed: what comes behind is left out. At the edges
    a unit sees less than in the middle, since zeros around the image are none of it.
    """
    seen: dict[str, Seen] = {}
    # Behind the last map places end, and a stranger's code may do anything.
    with suppress(Exception):
        _walk(network, width, seen)
    return seen


def _walk_features(features: nn.Module, width: int) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    _walk(features, width, found)
    return {f"features.{name}".rstrip("."): seen for name, seen in found.items()}


def _walk(features: nn.Module, width: int, seen: dict[str, Seen]) -> None:
    def record(name: str, output: object) -> None:
        if isinstance(output, Seen):
            seen[name] = output

    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: record(name, output))
        for name, module in features.named_modules()
    ]
    was_training = features.training
    features.eval()
    try:
        with torch.no_grad():
            features(Seen.all_of(width))
    finally:
        features.train(was_training)
        for hook in hooks:
            hook.remove()


def receptive_field(network: nn.Module) -> int:
    """Pixels of the input that one unit of the last feature map can see, in one direction."""
    return see(network)["features"].pixels
