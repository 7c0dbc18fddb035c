"""MODEL on the command line: what may be exported, and where its answers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import onnx
from torch import nn

from edgecnn.evaluation.predict import Predict, in_pytorch
from edgecnn.filters import FILTERS
from edgecnn.models import ZOO
from edgecnn.models.cost import cost, parameters
from edgecnn.training.run import is_run
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.manifest import Input, Model

KINDS = (
    "a run folder, a file .onnx, torchvision:NAME, timm:NAME, package.module:callable, filter:NAME"
)


@dataclass(frozen=True)
class Options:
    """What a person may say of a model that does not know it itself."""

    width: float = 1.0
    resolution: tuple[int, int] | None = None
    labels: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    color: str | None = None
    resize: str | None = None
    invert: bool = False
    weights: Path | None = None
    random: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Source:
    """A model that can be exported.

    Attributes:
        weights: as the manifest says it: `trained`, `pretrained NAME`, `random`.
        predict: the path that training saw: the answers that every artifact must give.
        graph: what it is to look like -> the graph in FP32.
        data: the data set that it was trained on, for parity on real images.
        network: float (N, C, H, W) -> logits, in evaluation mode; None where PyTorch has none.
    """

    model: Model
    spec: Input
    labels: tuple[str, ...]
    weights: str
    predict: Predict
    graph: Callable[[GraphOptions], onnx.ModelProto]
    data: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    network: nn.Module | None = None


def open_source(name: str, options: Options) -> Source:
    """MODEL -> what can be exported.

    Args:
        name: a run folder, a zoo name, `torchvision:NAME`, `timm:NAME`, a file that ends in .onnx,
            or `package.module:callable`.

    Raises:
        InputError: none of these, or an option that does not fit it.
    """
    # Each kind builds on this file, and none is imported without need.
    from edgecnn_export import callables, own, published, wrap_onnx

    _check(name, options)
    library, _, inside = name.partition(":")
    if is_run(name):
        return own.open_run(name, options)
    if library in published.LIBRARIES:
        return published.LIBRARIES[library](inside, options)
    if name.endswith(".onnx"):
        return wrap_onnx.open_onnx_source(Path(name), options)
    if name in ZOO:
        return own.open_zoo(name, options)
    if callables.is_callable(name):
        return callables.open_callable(name, options)
    if name in FILTERS:
        raise InputError(f"{name} is a filter; did you mean 'filter:{name}'?")
    if "/" in name or ":" in name or Path(name).exists():
        raise InputError(f"{name} is no model; expected {KINDS} or one of: {', '.join(ZOO)}")
    raise unknown_name("model", name, ZOO, f", {KINDS}")


def _check(name: str, options: Options) -> None:
    if options.random and options.weights:
        raise InputError(f"--random and --weights {options.weights} exclude each other")
    if options.width != 1.0 and name not in ZOO and not is_run(name):
        raise InputError(f"--width {options.width:g} goes with a name of the zoo; got {name}")


def make_input(
    options: Options,
    size: tuple[int, int],
    channels: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    resize: str = "crop",
    **more: Any,
) -> Input:
    """The preprocessing contract: the model's own, and over it what a person said."""
    resize = options.resize or resize
    fields: dict[str, Any] = {
        "height": size[0],
        "width": size[1],
        "channels": channels,
        "color": options.color or ("gray" if channels == 1 else "rgb"),
        "mean": options.mean or mean,
        "std": options.std or std,
        "resize": resize,
        "invert": options.invert,
        **more,
    }
    if resize in ("crop", "pad"):
        fields = {"shorter_side": min(size), **fields, "crop": size}
    else:
        fields.pop("shorter_side", None)
    try:
        return msgspec.convert(fields, Input)
    except msgspec.ValidationError as error:
        raise InputError(f"preprocessing: {error}") from error


def numbered(count: int) -> tuple[str, ...]:
    """Labels for classes without names."""
    return tuple(f"class {i}" for i in range(count))


def torch_source(
    network: nn.Module,
    spec: Input,
    labels: tuple[str, ...],
    *,
    name: str,
    weights: str,
    width: float = 1.0,
    depth: int | None = None,
    **more: Any,
) -> Source:
    """A network of PyTorch, float (N, C, H, W) -> logits, as a source."""
    network = network.eval()
    size = (spec.height, spec.width)
    model = Model(
        name=name,
        width=width,
        resolution=size,
        depth=depth,
        parameters=parameters(network),
        macs=cost(network, (spec.channels, *size)).macs,
    )
    return Source(
        model=model,
        spec=spec,
        labels=labels,
        weights=weights,
        predict=in_pytorch(network, spec),
        graph=lambda options: to_onnx(network, spec, labels, options),
        network=network,
        **more,
    )
