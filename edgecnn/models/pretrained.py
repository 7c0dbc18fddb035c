"""Published weights for networks of the zoo: torchvision's and timm's state dicts, read as ours.

Both sides hold the same tensors in the same order of definition; only the names differ. A file may
have lost that order (safetensors sorts by name), so it is found again from the names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from edgecnn_runtime.errors import InputError, unknown_name

Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Reference(NamedTuple):
    """Where published weights for a network come from.

    Attributes:
        order: modules of the reference as its code defines them; siblings are sorted by it.
        normalisation: mean and standard deviation of the input that the weights were trained on.
    """

    library: str  # torchvision or timm
    name: str
    order: str
    normalisation: Normalisation = IMAGENET


PLAIN = "features classifier"
RESNET = "conv1 bn1 conv2 bn2 conv3 bn3 se_module downsample layer fc last_linear"
DENSENET = (
    "features conv0 norm0 norm1 conv1 norm2 conv2 norm conv denseblock1 transition1 denseblock2"
    " transition2 denseblock3 transition3 denseblock4 denselayer norm5 classifier"
)
GOOGLENET = "conv bn branch inception aux fc"
INCEPTION_V3 = (
    "Conv2d Mixed AuxLogits conv bn branch1x1 branch5x5 branch3x3 branch7x7 branch3x3dbl"
    " branch7x7dbl branch7x7x3 branch_pool fc"
)
INCEPTION_V4 = "features branch conv bn last_linear"
MOBILENET_V1 = "conv_stem conv_dw bn1 conv_pw bn2 blocks classifier"
MOBILENET_V3 = "features block fc classifier"
SQUEEZENET = "features squeeze expand1x1 expand3x3 classifier"
# The shortcut comes first in the reference's code, and last here.
XCEPTION = "conv1 bn1 conv2 bn2 pointwise block rep skip skipbn conv3 bn3 conv4 bn4 fc"

REFERENCES = {
    "alexnet": Reference("torchvision", "alexnet", PLAIN),
    **{name: Reference("torchvision", name, PLAIN) for name in ("vgg16", "vgg16_bn")},
    **{name: Reference("torchvision", name, PLAIN) for name in ("vgg19", "vgg19_bn")},
    "googlenet_bn": Reference("torchvision", "googlenet", GOOGLENET, HALF),
    "inception_v3": Reference("torchvision", "inception_v3", INCEPTION_V3, HALF),
    "inception_v4": Reference("timm", "inception_v4", INCEPTION_V4, HALF),
    **{
        f"resnet{d}": Reference("torchvision", f"resnet{d}", RESNET) for d in (18, 34, 50, 101, 152)
    },
    **{f"densenet{d}": Reference("torchvision", f"densenet{d}", DENSENET) for d in (121, 169, 201)},
    "mobilenet_v1": Reference("timm", "mobilenetv1_100", MOBILENET_V1),
    "mobilenet_v2": Reference("torchvision", "mobilenet_v2", "features conv classifier"),
    "mobilenet_v3_large": Reference("torchvision", "mobilenet_v3_large", MOBILENET_V3),
    "mobilenet_v3_small": Reference("torchvision", "mobilenet_v3_small", MOBILENET_V3),
    "xception": Reference("timm", "legacy_xception", XCEPTION, HALF),
    "squeezenet1_0": Reference("torchvision", "squeezenet1_0", SQUEEZENET),
    "squeezenet1_1": Reference("torchvision", "squeezenet1_1", SQUEEZENET),
    **{f"seresnet{d}": Reference("timm", f"legacy_seresnet{d}", RESNET) for d in (50, 101, 152)},
    "senet154": Reference("timm", "legacy_senet154", RESNET),
}

LEAVES = ("weight", "bias", "running_mean", "running_var")
HEADS = ("aux1.", "aux2.", "AuxLogits.", "heads.")
Named = list[tuple[str, torch.Tensor]]


def load_reference(
    network: nn.Module, name: str, state: Mapping[str, torch.Tensor]
) -> tuple[str, ...]:
    """Load published weights into a network of the zoo.

    Auxiliary heads are loaded where the reference has them. A last layer for another number of
    classes keeps the weights that it has.

    Args:
        network: what `build(name)` gave, with any number of classes.
        name: of the network in the zoo.
        state: the reference's state dict, in any order.

    Returns:
        Names of the parameters that were not loaded.

    Raises:
        InputError: there is no reference, or the state dict is not that of one.
    """
    if name not in REFERENCES:
        raise unknown_name("model with published weights", name, REFERENCES)
    reference = REFERENCES[name]
    theirs = _in_order(state, reference)
    ours = [(k, v) for k, v in network.state_dict().items() if _is_leaf(k)]
    merged, fresh = _match(_main(ours), _main(theirs), name)
    heads = _heads(ours)
    if heads and _heads(theirs):
        loaded, more = _match(heads, _heads(theirs), name)
        merged, fresh = merged | loaded, fresh + more
    elif heads:
        fresh += [key for key, _ in heads]
    network.load_state_dict(merged, strict=False)
    return tuple(fresh)


def _match(ours: Named, theirs: Named, name: str) -> tuple[dict[str, torch.Tensor], list[str]]:
    if len(ours) != len(theirs):
        raise InputError(
            f"the weights hold {len(theirs)} tensors, {name} has {len(ours)}; expected the state"
            f" dict of {REFERENCES[name].library}'s {REFERENCES[name].name}"
        )
    merged, fresh = {}, []
    # The output layers, one for each head, are the only ones whose length may differ.
    for (key, own), (their_key, tensor) in zip(ours, theirs, strict=True):
        if own.shape == tensor.shape:
            merged[key] = tensor
        elif own.shape[1:] == tensor.shape[1:] and _is_output(key, ours):
            fresh.append(key)
        else:
            raise InputError(
                f"{their_key} has shape {tuple(tensor.shape)}, {key} of {name} has"
                f" {tuple(own.shape)}; expected the same width and input channels"
            )
    return merged, fresh


def _is_output(key: str, ours: Named) -> bool:
    """Whether a parameter is of the last layer of the network, or of an auxiliary head."""
    branch = key.split(".")[:2] if key.startswith("heads.") else key.split(".")[:1]
    prefix = ".".join(branch) + "."
    last = [k for k, _ in ours if k.startswith(prefix)][-1]
    return key.rpartition(".")[0] == last.rpartition(".")[0]


def _main(tensors: Named) -> Named:
    return [(k, v) for k, v in tensors if not k.startswith(HEADS)]


def _heads(tensors: Named) -> Named:
    return [(k, v) for k, v in tensors if k.startswith(HEADS)]


def _is_leaf(key: str) -> bool:
    return key.rpartition(".")[2] in LEAVES


def _in_order(state: Mapping[str, torch.Tensor], reference: Reference) -> Named:
    """The tensors of a state dict as the reference's code defines them."""
    names = (*reference.order.split(), *LEAVES)

    def rank(token: str) -> tuple[int, int, str]:
        if token.isdigit():
            return (-1, int(token), "")
        known = [n for n in names if token.startswith(n)]
        if not known:
            raise InputError(
                f"the weights hold {token!r}, which {reference.library}'s {reference.name} has not"
            )
        stem = max(known, key=len)
        rest = token[len(stem) :]
        number = re.match(r"\d+", rest)
        return (names.index(stem), int(number[0]) if number else 0, rest)

    def position(key: str) -> list[tuple[int, int, str]]:
        if reference.order is DENSENET:  # its published files say norm.1 where its code says norm1
            key = re.sub(r"\b(norm|conv)\.(\d)\b", r"\1\2", key)
        return [rank(token) for token in key.split(".")]

    keys = [key for key in state if not key.endswith("num_batches_tracked")]
    return [(key, state[key]) for key in sorted(keys, key=position)]
