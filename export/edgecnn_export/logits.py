"""Which of a network's answers are the logits, and of how many classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from edgecnn.models.cost import run_once
from edgecnn_runtime.errors import InputError

BATCH = 2
Key = int | str


class Logits(nn.Module):
    """One of the answers of a network that gives several.

    Args:
        key: its place or its name among them.

    Shape: that of the network -> (N, classes).
    """

    def __init__(self, network: nn.Module, key: Key) -> None:
        super().__init__()
        self.network, self.key = network, key

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(x)[self.key]
        return logits


def find_logits(
    network: nn.Module, input_shape: tuple[int, int, int], name: str, classes: int | None = None
) -> tuple[nn.Module, int]:
    """Run a network once and find its logits.

    Args:
        input_shape: (C, H, W) of one image.
        name: of the network, for errors.
        classes: how many there are, where that is known.

    Returns:
        A network that answers with the logits alone, and how many classes they have.

    Raises:
        InputError: the network does not take such images, or answers with anything else.
    """
    channels, height, width = input_shape
    shape = f"Nx{channels}x{height}x{width}"
    try:
        answer = run_once(network, torch.zeros(BATCH, *input_shape))
    except Exception as error:  # whatever a stranger's network raises
        raise InputError(f"{name} does not take images of {shape}: {one_line(error)}") from error
    found = {key: a for key, a in _answers(answer) if _is_logits(a)}
    if not found:
        raise InputError(
            f"{name} answers {shape} with {_described(answer)}; expected logits (N, classes)"
        )
    fields = getattr(answer, "_fields", ())  # of a NamedTuple
    named = fields.index("logits") if "logits" in fields else "logits"
    key = named if named in found else _choose(found, classes, name)
    count = int(found[key].shape[1])
    if classes not in (None, count):
        raise InputError(f"{name} answers with {count} classes, got {classes} labels")
    return (network if isinstance(answer, torch.Tensor) else Logits(network, key)), count


def _answers(answer: Any) -> list[tuple[Key, Any]]:
    if isinstance(answer, torch.Tensor):
        return [("logits", answer)]
    if isinstance(answer, Mapping):
        return list(answer.items())
    return list(enumerate(answer)) if isinstance(answer, Sequence) else []


def _is_logits(answer: Any) -> bool:
    return isinstance(answer, torch.Tensor) and answer.ndim == 2 and answer.shape[0] == BATCH


def _choose(found: Mapping[Key, torch.Tensor], classes: int | None, name: str) -> Key:
    """The one of so many classes, or the first of several that are alike."""
    fitting = [key for key, answer in found.items() if answer.shape[1] == classes]
    sizes = {int(answer.shape[1]) for answer in found.values()}
    if not fitting and len(sizes) > 1:
        told = " and ".join(f"(N, {size})" for size in sorted(sizes))
        raise InputError(f"{name} answers with {told}; name the classes with --labels")
    return (fitting or list(found))[0]


def _described(answer: Any) -> str:
    """`{'features': (2, 512)}`."""
    if isinstance(answer, torch.Tensor):
        return f"a tensor {('N', *answer.shape[1:])}".replace("'", "")
    inside = ", ".join(
        f"{key}: {tuple(a.shape) if isinstance(a, torch.Tensor) else type(a).__name__}"
        for key, a in _answers(answer)
    )
    return f"{type(answer).__name__} ({inside})" if inside else type(answer).__name__


def one_line(error: BaseException) -> str:
    """The first line of an error, or its kind where it says nothing."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
