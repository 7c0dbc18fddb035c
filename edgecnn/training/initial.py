"""Weights to start from: a run's, a file's, or those that torchvision or timm publish."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgecnn.models import build
from edgecnn.models.pretrained import REFERENCES, load_reference
from edgecnn.training.head import output_layers
from edgecnn.training.run import Run, is_run, read_run
from edgecnn.training.weights import load_tensors, read_state
from edgecnn_runtime.errors import InputError, MissingPackageError

LIBRARIES = ("torchvision", "timm")


def initialise(
    network: nn.Module, model: str, source: str, width: float | None = None
) -> tuple[str, ...]:
    """Load the weights that training is to start from.

    A last layer for another number of classes keeps the fresh weights that it has.

    Args:
        network: what `build(model)` gave.
        source: a run folder, a file (.safetensors, .pth) of ours, of torchvision's or of timm's, or
            `torchvision:NAME` or `timm:NAME`, which download.
        width: of the network, to tell where a run has another one.

    Returns:
        Names of the parameters that were not loaded.

    Raises:
        InputError: no such source, or weights of another network.
    """
    library, _, name = source.partition(":")
    if library in LIBRARIES and name:
        return load_reference(network, model, _published(library, name, model))
    if is_run(source):
        check_run(read_run(source), source, model, width)
        return _load_own(network, load_tensors(Path(source) / "best.safetensors"), source)
    return load_state(network, model, read_state(Path(source)), source)


def normalisation(model: str, source: str) -> dict[str, tuple[float, ...]]:
    """Mean and standard deviation of the input that these weights were trained on, as fields of
    `Input`; empty where they do not say.
    """
    library, _, name = source.partition(":")
    published = library in LIBRARIES and bool(name)
    if not published and is_run(source):
        spec = read_run(source).input
        return {"mean": spec.mean, "std": spec.std}
    if model not in REFERENCES or not (published or _is_reference(model, Path(source))):
        return {}
    mean, std = REFERENCES[model].normalisation
    return {"mean": mean, "std": std}


def _is_reference(model: str, path: Path) -> bool:
    with torch.device("meta"):
        own = build(model)
    return read_state(path).keys() != own.state_dict().keys()


def check_run(run: Run, source: str, model: str, width: float | None) -> None:
    """Raise InputError where a run trained another network, or one of another width."""
    if run.model != model:
        raise InputError(f"{source} is a run of {run.model}; expected one of {model} for --init")
    if width is not None and run.width != width:
        raise InputError(
            f"{source} is a run of width {run.width:g}, and its weights fit no other; expected"
            f" {width:g}, or train with --width {run.width:g}"
        )


def load_state(
    network: nn.Module, model: str, state: Mapping[str, torch.Tensor], source: str
) -> tuple[str, ...]:
    """Load a state dict of a network of the zoo, whether it is ours or the reference's.

    Args:
        source: where it comes from, for the message.
    """
    if state.keys() == network.state_dict().keys() or model not in REFERENCES:
        return _load_own(network, state, source)
    return load_reference(network, model, state)


def _load_own(
    network: nn.Module, state: Mapping[str, torch.Tensor], source: str
) -> tuple[str, ...]:
    own = network.state_dict()
    last = output_layers(network)
    fresh = tuple(
        key
        for key, tensor in own.items()
        if key in state and state[key].shape != tensor.shape and key.rpartition(".")[0] in last
    )
    try:
        loaded = network.load_state_dict(
            {k: v for k, v in state.items() if k not in fresh}, strict=False
        )
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise InputError(f"{source} does not fit this network: {reason}") from None
    missing = [key for key in loaded.missing_keys if key not in fresh]
    if wrong := [*missing, *loaded.unexpected_keys]:
        raise InputError(
            f"{source} does not fit this network: {wrong[0]} is only in one of them, and"
            f" {len(wrong) - 1} others"
        )
    return fresh


def _published(library: str, name: str, model: str) -> dict[str, torch.Tensor]:
    reference = REFERENCES.get(model)
    if reference is None or (reference.library, reference.name) != (library, name):
        expected = f"{reference.library}:{reference.name}" if reference else "a run or a file"
        raise InputError(f"--init {library}:{name} does not fit {model}; expected {expected}")
    try:
        return _download(library, name)
    except OSError as error:
        raise InputError(
            f"the weights of {library}:{name} cannot be downloaded"
            f" ({getattr(error, 'reason', error)}); get the file on another machine and pass its"
            " path"
        ) from error


def _download(library: str, name: str) -> dict[str, torch.Tensor]:
    if library == "torchvision":
        from torchvision import models

        return dict(models.get_model(name, weights="DEFAULT").state_dict())
    timm = import_timm()
    try:
        return dict(timm.create_model(name, pretrained=True).state_dict())
    except RuntimeError as error:  # of its hub client
        raise OSError(str(error).splitlines()[0]) from error


def import_timm() -> Any:
    """The package timm, which no extra brings.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies
            import timm
    except ImportError as error:
        raise MissingPackageError("timm is not installed: pip install timm") from error
    return timm
