"""Checkpoints without pickle: tensors as safetensors, the rest as JSON in its header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import safe_open

from edgecnn.training.weights import load_tensors, save_tensors


class SafetensorsIO(CheckpointIO):
    """Lightning's checkpoints, from which a run resumes, in a file that executes nothing."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any = None,
    ) -> None:
        tensors: dict[str, torch.Tensor] = {}
        tree = _split(checkpoint, tensors, "")
        save_tensors(Path(path), tensors, state=json.dumps(tree))

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        with safe_open(path, framework="pt") as file:
            tree = json.loads(file.metadata()["state"])
        merged: dict[str, Any] = _merge(tree, load_tensors(Path(path)))
        return merged

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _split(value: Any, tensors: dict[str, torch.Tensor], name: str) -> Any:
    """Replace tensors by their names, and what JSON does not know by marked objects."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value.clone()  # shared storage is refused by safetensors
        return {"tensor": name}
    if isinstance(value, dict):
        items = [[k, _split(v, tensors, f"{name}/{k}")] for k, v in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_split(v, tensors, f"{name}/{i}") for i, v in enumerate(value)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds {type(value).__name__} at {name}, which JSON cannot hold")


def _merge(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    kind, content = next(iter(tree.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {k: _merge(v, tensors) for k, v in content}
    parts = [_merge(v, tensors) for v in content]
    return tuple(parts) if kind == "tuple" else parts
