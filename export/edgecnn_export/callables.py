"""A network of your own: `package.module:callable`, with a checkpoint."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgecnn_export.checkpoints import load_weights
from edgecnn_export.logits import OtherInputError, find_logits
from edgecnn_export.random_weights import randomise
from edgecnn_export.sources import Options, Source, make_input, numbered, torch_source
from edgecnn_runtime.errors import InputError, one_line, unknown_name

NAME = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


def is_callable(name: str) -> bool:
    """Whether a name has the form `package.module:callable`."""
    return NAME.fullmatch(name) is not None


def open_callable(name: str, options: Options) -> Source:
    """A callable that returns an `nn.Module`: float (N, C, H, W) -> logits (N, classes).

    Args:
        name: `package.module:callable`; the current directory is searched too.
        options: `resolution` is needed, and `weights` or `random`; without mean and std the network
            takes values from 0 to 1.

    Raises:
        InputError: it cannot be imported or called, is no classifier, or an option is missing.
    """
    if not (options.weights or options.random):
        raise InputError(
            f"{name} needs weights: pass a checkpoint with --weights FILE (of a callable that loads"
            " its own: save its state_dict()), or say --random"
        )
    if options.resolution is None:
        raise InputError(f"{name} does not tell the size of its input; name it with --resolution")
    torch.manual_seed(options.seed)
    network = _build(name, _find(name), options)
    if options.weights:
        load_weights(network, options.weights)
    classes = len(options.labels) if options.labels else None
    network, channels, count = _classifier(network, name, options, classes)
    spec = make_input(options, options.resolution, channels, (0.0,) * channels, (1.0,) * channels)
    if options.random:
        randomise(network, spec)
    return torch_source(
        network,
        spec,
        options.labels or numbered(count),
        name=name.partition(":")[2],
        weights=f"pretrained {options.weights.name}" if options.weights else "random",
        provenance={"callable": name, "seed": options.seed},
    )


def _find(name: str) -> Any:
    module_name, _, path = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise InputError(
                f"no module {error.name!r} for {name}; expected package.module:callable, importable"
                f" from {here} or installed"
            ) from None
        raise InputError(f"{module_name} cannot be imported: {one_line(error)}") from error
    except Exception as error:  # whatever its own code raises
        raise InputError(f"{module_name} cannot be imported: {one_line(error)}") from error
    finally:
        with suppress(ValueError):  # what is imported may have tidied the path itself
            sys.path.remove(here)
    for step in path.split("."):
        if not hasattr(found, step):
            public = [n for n in dir(found) if not n.startswith("_")]
            raise unknown_name(f"name in {module_name}", step, public)
        found = getattr(found, step)
    return found


def _build(name: str, found: Any, options: Options) -> nn.Module:
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise InputError(f"{name} is {_kind(found)}; expected a callable that returns a nn.Module")
    arguments = {"num_classes": len(options.labels)} if options.labels else {}
    try:
        network = found(**_taken(name, found, arguments))
    except InputError:
        raise
    except Exception as error:  # whatever its own code raises
        raise InputError(f"{name} cannot be called: {one_line(error)}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{name} returns {_kind(network)}; expected a nn.Module")
    return network


def _taken(name: str, function: Callable[..., Any], arguments: dict[str, int]) -> dict[str, int]:
    """Those of the arguments that a callable takes; it may need no others."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C
        return {}
    kinds = [p.kind for p in signature.parameters.values()]
    if "num_classes" not in signature.parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
        arguments = {}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise InputError(
            f"{name} cannot be called without arguments ({one_line(error)}); write a function that"
            " calls it with them"
        ) from None
    return arguments


def _kind(found: object) -> str:
    return f"of type {type(found).__name__}"


def _classifier(
    network: nn.Module, name: str, options: Options, classes: int | None
) -> tuple[nn.Module, int, int]:
    """The network for its logits, its input channels, its classes: 3 channels are tried, then 1."""
    assert options.resolution
    size = options.resolution
    channels = 1 if options.color == "gray" else 3
    try:
        found, count = find_logits(network, (channels, *size), name, classes)
    except OtherInputError:
        if options.color is None:
            with suppress(OtherInputError):
                found, count = find_logits(network, (1, *size), name, classes)
                return found, 1, count
        raise
    return found, channels, count
