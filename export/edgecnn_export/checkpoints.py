"""A file of weights into the network that it is of."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

import torch
from torch import nn

from edgecnn.training.weights import read_state
from edgecnn_runtime.errors import InputError

State = Mapping[str, torch.Tensor]


def load_weights(network: nn.Module, path: Path, *, without: Container[str] = ()) -> None:
    """Load a state dict.

    Args:
        without: modules that the file may hold and the network does not need, such as auxiliary
            heads.

    Raises:
        InputError: no such file, unreadable, or for another network.
    """
    own = network.state_dict()
    state = {k: v for k, v in _unwrapped(read_state(path), own).items() if _first(k) not in without}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = lines[min(1, len(lines) - 1)].rstrip(".")
        hint = "; name its classes with --labels" if "size mismatch" in reason else ""
        raise InputError(f"{path} does not fit this network: {reason}{hint}") from None


def _unwrapped(state: State, own: State) -> State:
    """Without the names that DataParallel, Lightning and torch.compile put in front of all."""
    known, inner = {_first(key) for key in own}, state
    while len({_first(key) for key in inner}) == 1 and all("." in key for key in inner):
        if _first(next(iter(inner))) in known:
            return inner
        inner = {key.partition(".")[2]: tensor for key, tensor in inner.items()}
    return inner if known & {_first(key) for key in inner} else state


def _first(key: str) -> str:
    return key.partition(".")[0]
