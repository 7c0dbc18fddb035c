"""Networks of ours: a run, or a name of the zoo."""

from __future__ import annotations

from typing import Any

import msgspec
import torch

from edgecnn.models import build, entry
from edgecnn.models.pretrained import REFERENCES
from edgecnn.models.registry import check_resolution
from edgecnn.training.initial import load_state
from edgecnn.training.inputs import IMAGENET_MEAN, IMAGENET_STD
from edgecnn.training.run import load_network, read_run
from edgecnn.training.weights import read_state
from edgecnn_export.random_weights import randomise
from edgecnn_export.sources import Options, Source, make_input, numbered, torch_source
from edgecnn_runtime.errors import InputError

CENTRE = 0.875  # of the shorter side, what ImageNet's validation looks at: 224 of 256


def open_run(folder: str, options: Options) -> Source:
    """A run folder: its best weights, and the input that it was trained on.

    Raises:
        InputError: unreadable, or an option that says otherwise than the run.
    """
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


def open_zoo(name: str, options: Options) -> Source:
    """A network of the zoo, with a file of weights or with random ones.

    Raises:
        InputError: neither was asked for, or they do not fit.
    """
    row = entry(name)
    if not (options.random or options.weights):
        raise InputError(
            f"{name} has no weights of its own: train it ('edgecnn train DATA --model {name} --out"
            " RUN') and export the run, pass a file with --weights, or say --random for a bundle"
            " that only shows its speed"
        )
    size = options.resolution or (row.resolution, row.resolution)
    check_resolution(name, *size)
    labels = options.labels or numbered(row.classes)
    torch.manual_seed(options.seed)
    network = build(name, num_classes=len(labels), width=options.width)
    mean, std = ((0.5,), (0.5,)) if row.channels == 1 else (IMAGENET_MEAN, IMAGENET_STD)
    called, more = "random", dict[str, Any]()
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
    spec = make_input(options, size, row.channels, mean, std, **more)
    if not options.weights:
        randomise(network, spec)
    return torch_source(
        network,
        spec,
        labels,
        name=name,
        width=options.width,
        depth=row.depth,
        weights=called,
        provenance={"zoo": name, "seed": options.seed},
    )
