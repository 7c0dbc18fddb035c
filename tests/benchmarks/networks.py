"""Convolutional classifiers of the zoo, of torchvision and of timm, chosen by rule."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any, NamedTuple

from harness import CACHE

SIZES = CACHE / "network_sizes.json"
SIDE = 160  # pixels; a network's own where that is smaller, or where it takes no other
PER_FAMILY = 6
NOT_CONVOLUTIONAL = ("maxvit", "swin", "vit")  # of torchvision, by the beginning of the name


class Limit(NamedTuple):
    """The largest network that is tried; `macs` at the resolution at which it is."""

    parameters: float
    macs: float


LIMITS = {"torchvision": Limit(200e6, float("inf")), "timm": Limit(40e6, 5e9)}

ATTENTION = "hybrid"  # in names of convolutional families of timm
# timm's modules whose networks are convolutional, or mostly so.
FAMILIES = (
    "byobnet", "convmixer", "convnext", "cspnet", "cspnext", "densenet", "dla", "dpn",
    "efficientnet", "fasternet", "fastvit", "focalnet", "ghostnet", "hardcorenas", "hgnet",
    "hrnet", "inception_next", "inception_resnet_v2", "inception_v3", "inception_v4", "lcnetv2",
    "mambaout", "mobilenetv3", "nasnet", "nfnet", "pnasnet", "rdnet", "regnet", "repghost",
    "repvit", "res2net", "resnest", "resnet", "resnetv2", "rexnet", "selecsls", "senet", "sknet",
    "starnet", "tresnet", "vgg", "vovnet", "xception", "xception_aligned",
)  # fmt: skip


def chosen() -> list[str]:
    """Their names as `edgecnn export` takes them."""
    from edgecnn.models import ZOO

    return [*ZOO, *_of_torchvision(), *_of_timm()]


def _of_torchvision() -> list[str]:
    from torchvision import models

    names = [n for n in models.list_models(module=models) if not n.startswith(NOT_CONVOLUTIONAL)]
    counts = {n: models.get_model_weights(n).DEFAULT.meta["num_params"] for n in names}
    return [f"torchvision:{n}" for n in names if counts[n] <= LIMITS["torchvision"].parameters]


def _of_timm() -> list[str]:
    import timm

    families: dict[str, list[str]] = defaultdict(list)
    for name in timm.list_models():
        if ATTENTION not in name:
            families[timm.model_entrypoint(name).__module__.rpartition(".")[2]].append(name)
    sizes = _sizes([name for family in FAMILIES for name in families[family]])
    names = []
    for family in FAMILIES:
        fitting = sorted(
            (name for name in families[family] if name in sizes and _fits(*sizes[name])),
            key=lambda name: (sizes[name], name),
        )
        names += [f"timm:{name}" for name in _spread(fitting, PER_FAMILY)]
    return names


def _fits(parameters: int, macs: int) -> bool:
    limit = LIMITS["timm"]
    return parameters <= limit.parameters and macs <= limit.macs


def _spread(names: list[str], count: int) -> list[str]:
    """So many of them, evenly, the first and the last among them."""
    if len(names) <= count:
        return names
    return [names[round(i * (len(names) - 1) / (count - 1))] for i in range(count)]


def _sizes(names: list[str]) -> dict[str, list[int]]:
    """[parameters, MACs] of the classifiers among them; it takes minutes, so it is kept."""
    known: dict[str, Any] = json.loads(SIZES.read_text()) if SIZES.exists() else {}
    for name in names:
        if name not in known:
            known[name] = _size(name)
    SIZES.parent.mkdir(parents=True, exist_ok=True)
    SIZES.write_text(json.dumps(known))
    return {name: known[name] for name in names if known[name]}


def _size(name: str) -> list[int] | None:
    """Counted without weights; None for what is no classifier."""
    import timm
    import torch

    from edgecnn.models.cost import cost

    with torch.device("meta"):
        network = timm.create_model(name)
        if not network.num_classes:
            return None
        channels, *own = timm_input(name)
        try:
            counted = cost(network, (channels, *(min(side, SIDE) for side in own)))
        except Exception:  # its structure asks for its own size
            counted = cost(network, (channels, *own))
    return [counted.parameters, counted.macs]


def timm_input(name: str) -> tuple[int, int, int]:
    """(C, H, W) that a network of timm was trained on; ImageNet's where it tells none."""
    import timm

    config = timm.get_pretrained_cfg(name)
    return config.input_size if config else (3, 224, 224)
