"""Networks that torchvision and timm publish, with their own preprocessing and labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from edgecnn.training.initial import import_timm
from edgecnn_export.checkpoints import load_weights
from edgecnn_export.logits import find_logits
from edgecnn_export.random_weights import randomise
from edgecnn_export.sources import Options, Source, make_input, numbered, torch_source
from edgecnn_runtime.errors import InputError, one_line, unknown_name
from edgecnn_runtime.manifest import Input

HEADS = ("aux1", "aux2", "AuxLogits")  # of torchvision's networks; only training runs them
Triple = tuple[float, ...]


def open_torchvision(name: str, options: Options) -> Source:
    """A classification network of torchvision, with the weights that it downloads by default.

    The renormalisation that googlenet and inception_v3 have inside becomes part of mean and std.

    Raises:
        InputError: no such network, no network to download from, weights that do not fit.
    """
    from torchvision import models

    if name not in models.list_models(module=models):
        raise unknown_name("torchvision model", name, models.list_models(module=models))
    published = models.get_model_weights(name).DEFAULT
    preset = published.transforms()
    labels = options.labels or tuple(published.meta["categories"])
    torch.manual_seed(options.seed)
    if options.random or options.weights:
        network = _without_weights(name, len(labels))
    else:
        network = _download(name, published)
    if options.weights:
        load_weights(network, options.weights, without=HEADS)
    mean, std = options.mean or tuple(preset.mean), options.std or tuple(preset.std)
    if getattr(network, "transform_input", False):
        mean, std = _inside(mean, std)
        network.transform_input = False  # type: ignore[assignment]
    size = options.resolution or (preset.crop_size[0], preset.crop_size[0])
    spec = make_input(
        options,
        size,
        3,
        mean,
        std,
        shorter_side=round(min(size) * preset.resize_size[0] / preset.crop_size[0]),
        interpolation=f"{preset.interpolation.value}-antialias",
    )
    return _source("torchvision", name, network, spec, labels, options, str(published))


def _without_weights(name: str, classes: int) -> nn.Module:
    from torchvision import models

    more: dict[str, bool] = {}
    if name in ("googlenet", "inception_v3"):  # as they are with published weights
        more = {"aux_logits": False, "init_weights": False, "transform_input": True}
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **more)
    return network


def _inside(mean: Triple, std: Triple) -> tuple[Triple, Triple]:
    """Mean and std with torchvision's renormalisation from ImageNet's to 0.5 behind them."""
    imagenet = zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    both = [
        (m - (own_mean - 0.5) / own_std * s, s * 0.5 / own_std)
        for (own_mean, own_std), m, s in zip(imagenet, mean, std, strict=True)
    ]
    return tuple(round(m, 9) for m, _ in both), tuple(round(s, 9) for _, s in both)


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


def open_timm(name: str, options: Options) -> Source:
    """A classifier of timm, with the weights that it downloads by default.

    Args:
        name: as timm has it, with or without a tag: `resnet18`, `resnet18.a1_in1k`.

    Raises:
        InputError: no such classifier, no network to download from, weights that do not fit, or
            a preprocessing that `Input` cannot describe.
        MissingPackageError: timm is not installed.
    """
    timm = import_timm()
    if not timm.models.is_model(name):
        raise unknown_name("timm model", name, timm.list_models())
    torch.manual_seed(options.seed)
    network = _create(timm, name, options)
    if options.weights:
        load_weights(network, options.weights)
    config: dict[str, Any] = timm.data.resolve_data_config(model=network)
    size = options.resolution or config["input_size"][1:]
    spec = make_input(
        options,
        size,
        config["input_size"][0],
        config["mean"],
        config["std"],
        **_frame_to_input(config, size, options, name),
    )
    labels = options.labels or _labels(timm, network)
    tag = network.pretrained_cfg.get("tag", "")  # none of what was never published
    return _source("timm", name, network, spec, labels, options, tag)


def _create(timm: Any, name: str, options: Options) -> Any:
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise InputError(
            f"timm has no weights called {name}; expected one of: {', '.join(tags) or 'none'}"
        ) from None
    if options.random or options.weights:
        more = {"num_classes": len(options.labels)} if options.labels else {}
        return timm.create_model(name, pretrained=False, **more)
    if not (config and config.has_weights):
        raise InputError(
            f"timm publishes no weights for {name}: pass a file with --weights, or say --random"
        )
    try:
        return timm.create_model(name, pretrained=True)
    except OSError as error:  # of its hub client, or of PyTorch's
        raise InputError(
            f"the weights of timm:{name} cannot be downloaded ({one_line(error)}); get the file on"
            " another machine and pass it with --weights FILE"
        ) from error


def _frame_to_input(
    config: dict[str, Any], size: tuple[int, int], options: Options, name: str
) -> dict[str, Any]:
    """timm's evaluation transform in our words: what `make_input` takes."""
    interpolation, mode, share = (config[k] for k in ("interpolation", "crop_mode", "crop_pct"))
    if interpolation not in ("bilinear", "bicubic"):
        raise InputError(f"{name} resizes by {interpolation!r}; expected bilinear or bicubic")
    fields = {"interpolation": f"{interpolation}-antialias"}
    if options.resize or mode == "center":
        return fields | {"shorter_side": math.floor(min(size) / share)}
    if mode == "squash" and share == 1:
        return fields | {"resize": "stretch"}
    height, width = (math.floor(side / share) for side in size)
    raise InputError(
        f"{name} was trained on pictures that timm scales to {height}x{width} by {mode!r} and cuts"
        f" to {size[0]}x{size[1]}, which no --resize does; say --resize stretch for nearly that"
    )


def _labels(timm: Any, network: Any) -> tuple[str, ...]:
    subset = timm.data.infer_imagenet_subset(network)
    if subset is None:
        return numbered(network.num_classes)
    info = timm.data.ImageNetInfo(subset)
    return tuple(info.index_to_description(i) for i in range(network.num_classes))


def _source(
    library: str,
    name: str,
    network: nn.Module,
    spec: Input,
    labels: tuple[str, ...],
    options: Options,
    published: str,
) -> Source:
    network, _ = find_logits(
        network, (spec.channels, spec.height, spec.width), f"{library}:{name}", len(labels)
    )
    if options.random:
        randomise(network, spec)
        weights = "random"
    else:
        weights = f"pretrained {options.weights.name if options.weights else published}"
    return torch_source(
        network,
        spec,
        labels,
        name=name,
        weights=weights,
        provenance={library: name, "seed": options.seed},
    )


LIBRARIES: dict[str, Callable[[str, Options], Source]] = {
    "torchvision": open_torchvision,
    "timm": open_timm,
}
