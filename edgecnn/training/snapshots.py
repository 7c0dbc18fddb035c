"""Weights of chosen layers after each epoch, to look at how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning import Callback, LightningModule, Trainer
from torch import nn

from edgecnn.models.layers import SparseConv
from edgecnn.training.weights import load_tensors, save_tensors
from edgecnn_runtime.errors import InputError, unknown_name

FOLDER = "snapshots"


class Snapshots(Callback):
    """Keep weights in RUN/snapshots: epoch-0000 before training, epoch-0001 after an epoch, ...

    Args:
        layers: names of modules that hold a weight; what `snapshot_layers` gave.
    """

    def __init__(self, out: Path, layers: Sequence[str]) -> None:
        self.folder, self.layers = out / FOLDER, tuple(layers)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            self._save(0, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer.current_epoch + 1, pl_module)

    def _save(self, epoch: int, pl_module: LightningModule) -> None:
        network = pl_module.judged
        assert isinstance(network, nn.Module)
        tensors = {name: weight_of(network, name) for name in self.layers}
        save_tensors(self.folder / f"epoch-{epoch:04d}.safetensors", tensors, epoch=str(epoch))


def snapshot_layers(network: nn.Module, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """The first layer with a kernel, and those that are named.

    Raises:
        InputError: a name of no layer that holds a kernel.
    """
    known = layers_with_kernels(network)
    for name in chosen:
        if name not in known:
            raise unknown_name("layer with kernels", name, known)
    return tuple(dict.fromkeys((known[0], *chosen)))


def layers_with_kernels(network: nn.Module) -> list[str]:
    """Names of the modules whose weight is made of kernels, in order of definition."""
    return [name for name, module in network.named_modules() if _has_kernels(module)]


def weight_of(network: nn.Module, name: str) -> torch.Tensor:
    """(outputs, inputs of each, height, width)."""
    module = network.get_submodule(name)
    weight = module.dense_weight() if isinstance(module, SparseConv) else module.weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().clone()


def _has_kernels(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(module, SparseConv) or (
        isinstance(weight, torch.Tensor) and weight.dim() == 4
    )


def read_snapshots(folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """Epoch -> layer -> weight, in order; empty where a run has kept none.

    Raises:
        InputError: a file that cannot be read, or that holds other layers than the first one.
    """
    files = sorted((folder / FOLDER).glob("epoch-*.safetensors"))
    found = {int(file.stem.removeprefix("epoch-")): load_tensors(file) for file in files}
    names = {tuple(sorted(tensors)) for tensors in found.values()}
    if len(names) > 1:
        raise InputError(
            f"{folder / FOLDER} holds different layers at different epochs; train anew"
        )
    return found
