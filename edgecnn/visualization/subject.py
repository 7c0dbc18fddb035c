"""TARGET on the command line: a network to look into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from edgecnn.data import DataSet, load_data
from edgecnn.models import ZOO
from edgecnn.models.registry import build, check_resolution, entry
from edgecnn.training.initial import initialise
from edgecnn.training.inputs import IMAGENET_MEAN, IMAGENET_STD
from edgecnn.training.run import is_run, load_network, read_run
from edgecnn.training.weights import read_state
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.manifest import Input


@dataclass(frozen=True)
class Options:
    """What a person may say of a target that is no run.

    Attributes:
        weights: a run, a file, `torchvision:NAME` or `timm:NAME`.
        random: whether a network without weights is what he wants.
    """

    width: float = 1.0
    resolution: tuple[int, int] | None = None
    weights: str | None = None
    random: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Subject:
    """A network in evaluation mode, and what is known of it.

    Attributes:
        title: for people: name, width and size.
        folder: of the run; None of what is none.
        data: the data set that it was trained on, by name; `seed` fixes its split.
        warning: what a person must know of its weights, or nothing.
    """

    network: nn.Module
    spec: Input
    labels: tuple[str, ...]
    title: str
    folder: Path | None = None
    data: str | None = None
    seed: int = 0
    warning: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the network takes."""
        return self.spec.channels, self.spec.height, self.spec.width


def open_subject(target: str, options: Options) -> Subject:
    """TARGET -> the network.

    Args:
        target: a run folder, `torchvision:NAME` or a name of the zoo.

    Raises:
        InputError: none of these, a network without weights, or an option that does not fit it.
    """
    if is_run(target):
        return _open_run(target, options)
    library, _, name = target.partition(":")
    if library == "torchvision" and name:
        return _open_torchvision(name, options)
    if target in ZOO:
        return _open_zoo(target, options)
    path = Path(target)
    if path.suffix in (".onnx", ".engine") or (path / "manifest.json").is_file():
        raise InputError(
            f"{target} has graphs and engines alone, and no way back through their layers; expected"
            f" the run that it was made from{_made_from(path)} (a bundle goes into the chart alone)"
        )
    if "/" in target or ":" in target or path.exists():
        raise InputError(f"{target} is no run folder, torchvision:NAME or name of the zoo")
    raise unknown_name("model", target, ZOO, ", a run folder or torchvision:NAME")


def _made_from(path: Path) -> str:
    if not (path / "manifest.json").is_file():
        return ""
    run = open_bundle(path).manifest.provenance.get("run")
    return f", {run}" if run else ""


def _open_run(target: str, options: Options) -> Subject:
    if options != Options(seed=options.seed):
        raise InputError(
            f"{target} is a run, which has its own weights, width and resolution; leave out"
            " --weights, --random, --width and --resolution"
        )
    run = read_run(target)
    size = f"{run.input.height}x{run.input.width}"
    wide = f" {run.width:g}" if run.width != 1.0 else ""
    return Subject(
        network=load_network(target, run),
        spec=run.input,
        labels=run.labels,
        title=f"{run.model}{wide} at {size}, trained on {Path(run.data).name}",
        folder=Path(target),
        data=run.data,
        seed=run.seed,
    )


def _open_zoo(name: str, options: Options) -> Subject:
    _check_weights(name, options)
    row = entry(name)
    size = options.resolution or (row.resolution, row.resolution)
    check_resolution(name, *size)
    torch.manual_seed(options.seed)
    network = build(name, width=options.width)
    if options.weights:
        initialise(network, name, options.weights)
    means, stds = (IMAGENET_MEAN, IMAGENET_STD) if row.channels == 3 else ((0.449,), (0.226,))
    wide = f" {options.width:g}" if options.width != 1.0 else ""
    return Subject(
        network=network.eval(),
        spec=_input(size, round(min(size) / 0.875), row.channels, means, stds),
        labels=_numbered(row.classes),
        title=f"{name}{wide} at {size[0]}x{size[1]}",
        seed=options.seed,
        warning="" if options.weights else "RANDOM WEIGHTS: nothing was learned",
    )


def _open_torchvision(name: str, options: Options) -> Subject:
    from torchvision import models

    if name not in models.list_models(module=models):
        raise unknown_name("torchvision model", name, models.list_models(module=models))
    if options.width != 1.0:
        raise InputError(f"--width {options.width:g} goes with a name of the zoo; got {name}")
    published = models.get_model_weights(name).DEFAULT
    torch.manual_seed(options.seed)
    if options.random or options.weights:
        network = models.get_model(name, weights=None, **_as_published(name))
    else:
        network = _download(name, published)
    if options.weights:
        _load(network, options.weights)
    preset = published.transforms()
    size = options.resolution or (preset.crop_size[0], preset.crop_size[0])
    shorter = round(min(size) * preset.resize_size[0] / preset.crop_size[0])
    return Subject(
        network=network.eval(),
        spec=_input(size, shorter, 3, tuple(preset.mean), tuple(preset.std)),
        labels=tuple(published.meta["categories"]),
        title=f"torchvision's {name} at {size[0]}x{size[1]}",
        seed=options.seed,
        warning="RANDOM WEIGHTS: nothing was learned" if options.random else "",
    )


def _as_published(name: str) -> dict[str, bool]:
    """Without heads that only training runs."""
    if name not in ("googlenet", "inception_v3"):
        return {}
    return {"aux_logits": False, "init_weights": False, "transform_input": True}


def _download(name: str, weights: Any) -> nn.Module:
    from torchvision import models

    try:
        network: nn.Module = models.get_model(name, weights=weights)
    except OSError as error:
        raise InputError(
            f"the weights of torchvision:{name} cannot be downloaded"
            f" ({getattr(error, 'reason', error)}); get the file on another machine and pass it"
            " with --weights FILE"
        ) from error
    return network


def _load(network: nn.Module, file: str) -> None:
    own = network.state_dict()
    state = {k: v for k, v in read_state(Path(file)).items() if k in own or "aux" not in k.lower()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise InputError(f"{file} does not fit this network: {reason}") from None


def _check_weights(name: str, options: Options) -> None:
    if options.random and options.weights:
        raise InputError(f"--random and --weights {options.weights} exclude each other")
    if not options.random and not options.weights:
        raise InputError(
            f"{name} is a network without weights: pass some with --weights, or say --random"
        )


def _input(
    size: tuple[int, int],
    shorter: int,
    channels: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Input:
    fields = {
        "height": size[0],
        "width": size[1],
        "channels": channels,
        "color": "gray" if channels == 1 else "rgb",
        "mean": mean,
        "std": std,
        "crop": size,
        "shorter_side": shorter,
    }
    return msgspec.convert(fields, Input)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(count))


def load_subject_data(
    subject: Subject, name: str | None, data_dir: Path | None = None
) -> DataSet | None:
    """The data set that a person names, or the one that a run was trained on.

    Raises:
        InputError: it cannot be read.
    """
    if name is not None or subject.data is None:
        return None if name is None else load_data(name, subject.seed, data_dir=data_dir)
    try:
        return load_data(subject.data, subject.seed, data_dir=data_dir)
    except InputError as error:
        raise InputError(f"the run's own data: {error}; name others with --data") from error
