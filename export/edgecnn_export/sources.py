"""MODEL on the command line: what may be exported, and where its answers come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import onnx
import torch
from torch import nn

from edgecnn.evaluation.predict import Predict, in_pytorch
from edgecnn.filters import FILTERS
from edgecnn.models import ZOO, build, entry
from edgecnn.models.cost import cost, parameters
from edgecnn.models.layers import random_statistics
from edgecnn.models.pretrained import REFERENCES
from edgecnn.models.registry import check_resolution
from edgecnn.training.initial import load_state
from edgecnn.training.inputs import IMAGENET_MEAN, IMAGENET_STD
from edgecnn.training.run import is_run, load_network, read_run
from edgecnn.training.weights import read_state
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_export.wrap_onnx import open_onnx
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.manifest import Input, Model

CENTRE = 0.875  # of the shorter side, what ImageNet's validation looks at: 224 of 256


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
        name: a run folder, a zoo name, `torchvision:NAME`, or a file that ends in .onnx.

    Raises:
        InputError: none of these, or an option that does not fit it.
    """
    if is_run(name):
        return _from_run(name, options)
    if name.startswith("torchvision:"):
        return _from_torchvision(name.removeprefix("torchvision:"), options)
    if name.endswith(".onnx"):
        return open_onnx_source(Path(name), options)
    if name in ZOO:
        return _from_zoo(name, options)
    if name in FILTERS:
        raise InputError(f"{name} is a filter; did you mean 'filter:{name}'?")
    if "/" in name or Path(name).exists():
        raise InputError(
            f"{name} is no model; expected a run folder, a file .onnx, torchvision:NAME,"
            f" filter:NAME or one of: {', '.join(ZOO)}"
        )
    raise unknown_name("model", name, ZOO, ", a run folder, torchvision:NAME, filter:NAME or .onnx")


def _from_run(folder: str, options: Options) -> Source:
    run = read_run(folder)
    fixed = ("width", "resolution", "labels", "mean", "std", "color", "resize", "weights")
    given = [n for n in fixed if getattr(options, n) not in (None, 1.0)]
    if given or options.random:
        raise InputError(
            f"--{(given or ['random'])[0]} does not go with a run, which was trained with its own;"
            " train another run"
        )
    network = load_network(folder, run)
    spec = msgspec.structs.replace(run.input, invert=run.input.invert or options.invert)
    return torch_source(
        network,
        spec,
        run.labels,
        name=run.model,
        width=run.width,
        depth=entry(run.model).depth,
        weights="trained",
        data=run.data,
        metrics=run.metrics,
        provenance={"run": str(folder), "data": run.data, "seed": run.seed},
    )


def _from_zoo(name: str, options: Options) -> Source:
    row = entry(name)
    if not (options.random or options.weights):
        raise InputError(
            f"{name} has no weights of its own: train it ('edgecnn train DATA --model {name} --out"
            " RUN') and export the run, pass a file with --weights, or say --random for a bundle"
            " that only shows its speed"
        )
    size = options.resolution or (row.resolution, row.resolution)
    check_resolution(name, *size)
    labels = options.labels or _numbered(row.classes)
    torch.manual_seed(options.seed)
    network = build(name, num_classes=len(labels), width=options.width)
    random_statistics(network, (row.channels, *size))
    mean, std = ((0.5,), (0.5,)) if row.channels == 1 else (IMAGENET_MEAN, IMAGENET_STD)
    called, more = "random", {}
    if options.weights:
        called = f"pretrained {options.weights.name}"
        fresh = load_state(network, name, read_state(options.weights), str(options.weights))
        if fresh:
            raise InputError(
                f"{options.weights} has another number of classes than {len(labels)}; name them"
                " with --labels"
            )
        if name in REFERENCES:  # what published weights of torchvision and timm were trained with
            mean, std = REFERENCES[name].normalisation
            more = {
                "shorter_side": round(min(size) / CENTRE),
                "interpolation": "bilinear-antialias",
            }
    return torch_source(
        network,
        make_input(options, size, row.channels, mean, std, **more),
        labels,
        name=name,
        width=options.width,
        depth=row.depth,
        weights=called,
        provenance={"zoo": name, "seed": options.seed},
    )


def _from_torchvision(name: str, options: Options) -> Source:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise unknown_name("torchvision model", name, models.list_models(module=models))
    weights = models.get_model_weights(name).DEFAULT
    labels = options.labels or tuple(weights.meta["categories"])
    torch.manual_seed(options.seed)
    if options.random or options.weights:
        network = models.get_model(name, weights=None, num_classes=len(labels))
        called = "random"
    else:
        network, called = _download(name, weights), f"pretrained {weights}"
    if options.weights:
        load_weights(network, options.weights)
        called = f"pretrained {options.weights.name}"
    preset = weights.transforms()
    size = options.resolution or (preset.crop_size[0], preset.crop_size[0])
    shorter = round(min(size) * preset.resize_size[0] / preset.crop_size[0])
    if called == "random":
        random_statistics(network, (3, *size))
    spec = make_input(
        options,
        size,
        3,
        tuple(preset.mean),
        tuple(preset.std),
        shorter_side=shorter,
        interpolation=f"{preset.interpolation.value}-antialias",
    )
    return torch_source(
        network,
        spec,
        labels,
        name=name,
        weights=called,
        provenance={"torchvision": name, "seed": options.seed},
    )


def _download(name: str, weights: Any) -> nn.Module:
    from torchvision import models

    try:
        network: nn.Module = models.get_model(name, weights=weights)
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"the weights of {name} cannot be downloaded from {weights.url} ({reason}); get the"
            " file on another machine and pass it with --weights FILE"
        ) from error
    return network


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a state dict into the network that it is of.

    Raises:
        InputError: no such file, unreadable, or for another network.
    """
    try:
        network.load_state_dict(read_state(path))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise InputError(
            f"{path} does not fit this network: {lines[min(1, len(lines) - 1)]}"
        ) from None


def open_onnx_source(path: Path, options: Options) -> Source:
    """Somebody else's graph: float NCHW in, logits or probabilities out."""
    foreign = open_onnx(path, options.resolution)
    size = (foreign.height, foreign.width)
    mean, std = (0.0,) * foreign.channels, (1.0,) * foreign.channels
    spec = make_input(options, size, foreign.channels, mean, std)
    labels = options.labels or _numbered(foreign.classes)
    if len(labels) != foreign.classes:
        raise InputError(
            f"{len(labels)} labels for {path}, which answers with {foreign.classes}; expected one"
            " a class, in the order of its outputs"
        )
    return Source(
        model=Model(name=path.stem, resolution=size, parameters=foreign.parameters),
        spec=spec,
        labels=labels,
        weights=f"pretrained {path.name}",
        predict=foreign.predictor(spec),
        graph=lambda options: foreign.wrapped(spec, labels, options),
        provenance={"onnx": str(path)},
    )


def make_input(
    options: Options,
    size: tuple[int, int],
    channels: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    **more: Any,
) -> Input:
    """The preprocessing contract: the model's own, and over it what a person said."""
    resize = options.resize or "crop"
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


def _numbered(count: int) -> tuple[str, ...]:
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
