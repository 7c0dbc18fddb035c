"""Weights in safetensors: a file that executes nothing when it is read."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save

from edgecnn_runtime.bundle import atomic_write
from edgecnn_runtime.errors import InputError


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], **header: str) -> None:
    """Write a safetensors file whole or not at all."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    atomic_write(path, save(whole, header or None))


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict of safetensors, or of PyTorch's format without executing what it holds.

    Raises:
        InputError: no such file, or unreadable.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)
    if not path.is_file():
        raise InputError(f"no weights at {path}; expected a .safetensors or .pth file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises many kinds for a file that is not one of its own
        raise InputError(f"{path} is not a readable file of weights") from error
    for inside in ("state_dict", "model"):  # training scripts put them beside other things
        if isinstance(state, dict) and isinstance(state.get(inside), dict):
            state = state[inside]
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise InputError(f"{path} holds no state dict; expected tensors by name")
    return state


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        InputError: missing, cut short, or not safetensors.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"no weights at {path}; expected a safetensors file") from None
    except Exception as error:  # safetensors has one error for all that is wrong with a file
        raise InputError(f"{path} is not a readable safetensors file: {error}") from error
