"""The table of networks. Adding one is a row here and a file beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from edgecnn.models.lenet5 import LeNet5
from edgecnn.models.mobilenet_v1 import MobileNetV1
from edgecnn_runtime.errors import InputError, unknown_name


class Entry(NamedTuple):
    family: str
    year: int
    depth: int  # as the lecture counts it: layers with weights
    make: Callable[..., nn.Module]  # (num_classes, in_channels[, width]) -> network
    classes: int  # in the paper
    channels: int  # of the input
    resolution: int  # in the paper
    stride: int  # the smallest resolution that the network takes
    has_width: bool
    paper: str


MOBILENET = "Howard et al., 2017, MobileNets, arXiv:1704.04861"
LENET = "LeCun et al., 1998, Gradient-based learning applied to document recognition"

# fmt: off
ZOO: dict[str, Entry] = {
    # name                family       year depth make     classes ch  res stride width paper
    "lenet5":       Entry("LeNet",     1998,  5, LeNet5,        10, 1,  32, 32, False, LENET),
    "mobilenet_v1": Entry("MobileNet", 2017, 28, MobileNetV1, 1000, 3, 224, 32, True, MOBILENET),
}
# fmt: on


def entry(name: str) -> Entry:
    """The table's row.

    Raises:
        InputError: no such network.
    """
    if name not in ZOO:
        raise unknown_name("model", name, ZOO, "; 'edgecnn models' lists them")
    return ZOO[name]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    width: float = 1.0,
    in_channels: int | None = None,
) -> nn.Module:
    """Build a network of the zoo with fresh weights.

    Args:
        num_classes: length of the logits; the paper's by default.
        width: channel multiplier, for the networks that have one.
        in_channels: 1 or 3; the paper's by default.

    Raises:
        InputError: no such network, or a width for a network that has none.
    """
    row = entry(name)
    arguments: dict[str, float | int] = {
        "num_classes": num_classes or row.classes,
        "in_channels": in_channels or row.channels,
    }
    if row.has_width:
        if not 0 < width <= 4:
            raise InputError(f"width {width}; expected above 0 and at most 4, such as 0.25")
        arguments["width"] = width
    elif width != 1.0:
        wide = ", ".join(n for n, e in ZOO.items() if e.has_width)
        raise InputError(f"{name} has no width multiplier, got {width}; those that have: {wide}")
    return row.make(**arguments)


def check_resolution(name: str, height: int, width: int) -> None:
    """Raise InputError for a resolution that the network's strides do not allow."""
    smallest = entry(name).stride
    if min(height, width) < smallest:
        raise InputError(f"resolution {height}x{width}; {name} needs at least {smallest}")
