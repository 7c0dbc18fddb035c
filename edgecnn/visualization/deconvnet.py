"""A feature projected back to the image: unpooling, rectifying, transposed filters.

Zeiler, Fergus (2014), Visualizing and understanding convolutional networks,
https://arxiv.org/abs/1311.2901. The way back through a convolution is its transposed filters, and
through max pooling the switches: this is what autograd does. What differs from a gradient are the
rectifiers, and a rule says how. So any network can be walked back, with branches and shortcuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from edgecnn.models.layers import LocalResponseNorm
from edgecnn.visualization.maps import map_of, recorded

Rule = Literal["deconv", "guided", "gradient"]
RULES: tuple[Rule, ...] = ("deconv", "guided", "gradient")

RECTIFIERS = (
    "elu", "gelu", "hardswish", "hardtanh", "leaky_relu", "relu", "relu6", "silu",
)  # fmt: skip
GATES = ("hardsigmoid", "sigmoid")  # of squeeze-and-excitation: a scale of each map


def project(
    network: nn.Module,
    x: torch.Tensor,
    layer: str,
    channel: int,
    places: torch.Tensor | None = None,
    *,
    rule: Rule = "deconv",
) -> torch.Tensor:
    """Project one unit of a layer for each image back to the pixels; all other units count as 0.

    Args:
        x: (N, C, H, W), what the network takes.
        places: (N, 2), row and column of the unit in its map; its strongest place by default.
        rule: at a rectifier, `deconv` rectifies what comes back (Zeiler and Fergus), `guided` also
            drops it where the unit was silent (Springenberg et al., 2015, arXiv:1412.6806), and
            `gradient` does the latter alone. The first two pass a local response normalisation by,
            as the paper does, and hold the gates of squeeze-and-excitation as they are. A tanh
            rectifies nothing, so its derivative is taken.

    Returns:
        (N, C, H, W).
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad(), recorded(network, [layer]) as maps, walking_back(network, rule):
        network(x)
    unit = map_of(maps, layer)[:, channel]
    if places is None:
        places = strongest_places(unit.detach())
    start = torch.zeros_like(maps[layer])
    images = torch.arange(len(x))
    value = unit.detach()[images, places[:, 0], places[:, 1]]
    start[images, channel, places[:, 0], places[:, 1]] = value
    (projection,) = torch.autograd.grad(maps[layer], x, start)
    return projection.detach()


def strongest_places(maps: torch.Tensor) -> torch.Tensor:
    """(N, H, W) -> (N, 2): row and column of each largest value, the first of equals."""
    flat = maps.flatten(1).argmax(1)
    return torch.stack([flat // maps.shape[-1], flat % maps.shape[-1]], 1)


@contextmanager
def walking_back(network: nn.Module, rule: Rule) -> Iterator[None]:
    """While the block runs, what the network computes has the rule's way back."""
    if rule == "gradient":
        yield
        return
    norms = [
        m for m in network.modules() if isinstance(m, LocalResponseNorm | nn.LocalResponseNorm)
    ]
    hooks = [m.register_forward_hook(_pass_by) for m in norms]
    try:
        with _Rectifying(guided=rule == "guided"):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _pass_by(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    passed: torch.Tensor = _PassBy.apply(inputs[0], output.detach())
    return passed


class _Rectifying(TorchFunctionMode):
    """Rectifiers of any module or function, whether they overwrite their input or not."""

    def __init__(self, guided: bool) -> None:
        super().__init__()
        self.guided = guided

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").rstrip("_")
        if name in GATES:
            return func(*args, **kwargs).detach()
        if name not in RECTIFIERS or (name == "hardtanh" and _least(*args, **kwargs) < 0):
            return func(*args, **kwargs)
        x = args[0] if args else kwargs.pop("input")
        with torch.no_grad():
            y = func(x.detach().clone(), *args[1:], **kwargs)
        return _Rectifier.apply(x, y, self.guided)


def _least(_: object = None, min_val: float = -1.0, *__: object, **___: object) -> float:
    return min_val


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor, guided: bool) -> torch.Tensor:
        ctx.spoke = y > 0 if guided else None
        return y.clone()

    @staticmethod
    def backward(ctx: Any, back: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        back = back.clamp(min=0)
        return back if ctx.spoke is None else back * ctx.spoke, None, None


class _PassBy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: Any, back: torch.Tensor) -> tuple[torch.Tensor, None]:
        return back, None
