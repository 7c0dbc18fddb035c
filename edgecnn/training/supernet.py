"""One network whose slices are networks of every width (Yu et al., 2018 and 2019).

Slimmable networks: https://arxiv.org/abs/1812.08928; the sandwich rule, and statistics of
batch norm counted afterwards: https://arxiv.org/abs/1903.05134.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torch import nn
from torch.func import functional_call

from edgecnn.training.augment import augment
from edgecnn.training.inputs import to_tensor
from edgecnn.training.loss import training_loss
from edgecnn.training.module import optimizers
from edgecnn.training.run import Run
from edgecnn_runtime.errors import InputError

Make = Callable[[float], nn.Module]  # width -> a network with fresh weights


class Supernet(nn.Module):
    """The widest network of a family; the others are the first channels of each of its layers.

    Args:
        make: builds the network of a width.
        widths: at least two.

    Shape: (N, C, H, W) float32 and a width -> (N, num_classes).

    Raises:
        InputError: a narrower network is no slice of the widest: it has other layers.
    """

    def __init__(self, make: Make, widths: Iterable[float]) -> None:
        super().__init__()
        self.widths = tuple(sorted(set(widths)))
        if len(self.widths) < 2:
            raise InputError(f"a supernet of the widths {self.widths}; expected two or more")
        self.make = make
        self.widest = make(self.widths[-1])
        with torch.device("meta"):  # their layers alone: they have no weights of their own
            self._layers = {width: make(width) for width in self.widths}
        for width, layers in self._layers.items():
            self._check(width, layers)

    def _check(self, width: float, layers: nn.Module) -> None:
        whole, part = self.widest.state_dict(), layers.state_dict()
        fits = whole.keys() == part.keys() and all(
            len(whole[name].shape) == len(tensor.shape)
            and all(a >= b for a, b in zip(whole[name].shape, tensor.shape, strict=True))
            for name, tensor in part.items()
        )
        if not fits:
            raise InputError(
                f"the network of width {width:g} has other layers than that of width"
                f" {self.widths[-1]:g}, so they cannot share weights; leave out --supernet, or that"
                " width"
            )

    def forward(self, x: torch.Tensor, width: float) -> Any:
        layers = self._layers[width].train(self.training)
        return functional_call(layers, self.slices(width), (x,))

    def slices(self, width: float) -> dict[str, torch.Tensor]:
        """The parameters and buffers of a width, as views of the widest network's."""
        own = {**dict(self.widest.named_parameters()), **dict(self.widest.named_buffers())}
        shapes = self._layers[width].state_dict()
        return {
            name: own[name][tuple(slice(size) for size in tensor.shape)]
            for name, tensor in shapes.items()
        }

    def extract(self, width: float) -> nn.Module:
        """A plain network of a width, with copies of its weights.

        Its batch norms have the statistics of all widths at once: `recalibrate` counts its own.
        """
        network = self.make(width)
        network.load_state_dict({n: t.detach().clone() for n, t in self.slices(width).items()})
        return network


def sandwich(widths: Sequence[float], seed: int, step: int) -> tuple[float, ...]:
    """The widths of one step: the widest, one between for every pair of them, the narrowest.

    The limits are trained at every step, since what they reach bounds all between (Yu and Huang,
    2019). Two of four widths are drawn in the paper; here every second of those between.

    Args:
        widths: in rising order.
    """
    narrowest, *between, widest = widths
    rng = np.random.default_rng((seed, step, 2))
    drawn = rng.permutation(len(between))[: (len(between) + 1) // 2]
    return (widest, *sorted((between[i] for i in drawn), reverse=True), narrowest)


class SandwichTraining(LightningModule):
    """Train a supernet by the sandwich rule, every width on the labels.

    The paper has the narrower ones learn from the widest one's answers. With a few hundred steps
    these come too late: on terrain, after 522 steps at 48 and 64 pixels, top-1 was 0.72 to 0.95
    with them and 0.93 to 1 with the labels.

    Args:
        network: of all widths.
        runs: one for each resolution of a batch, by its height and width; same recipe and seed.
        steps: optimiser steps of the whole run, for the schedule.
    """

    def __init__(self, network: Supernet, runs: dict[tuple[int, int], Run], steps: int) -> None:
        super().__init__()
        self.automatic_optimization = False  # several passes for one step, one graph at a time
        self.network, self.runs, self.steps = network, runs, steps
        one = next(iter(runs.values()))
        self.recipe, self.seed = one.recipe, one.seed

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> None:
        images, targets = batch  # (N, H, W, C) of one resolution
        step = self.global_step
        torch.manual_seed(self.seed + step)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        spec = self.runs[images.shape[1], images.shape[2]].input
        x = images.permute(0, 3, 1, 2).float()
        x = augment(x, self.recipe.augment, generator, spec.color)
        x = to_tensor(x.permute(0, 2, 3, 1), spec)
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        widths = sandwich(self.network.widths, self.seed, step)
        for width in widths:
            loss = training_loss(self.network(x, width), targets, self.recipe)
            self.manual_backward(loss)
            if width == widths[0]:
                self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        optimizer.step()
        schedule: Any = self.lr_schedulers()
        if schedule:
            schedule.step()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip here, where half precision has divided the gradients by its scale again."""
        self.clip_gradients(optimizer, self.recipe.clip_gradient, "norm")

    def configure_optimizers(self) -> Any:
        return optimizers(self.network, self.recipe, self.steps)


def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Count the statistics of batch norm anew, as plain means over batches, without training.

    A slice of a supernet has seen the statistics of all its widths and resolutions.

    Args:
        batches: float32 (N, C, H, W), normalised, of the resolution that it will see.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def batch_bounds(total: int, size: int) -> list[tuple[int, int]]:
    """Where batches begin and end; one image alone would give batch norm nothing to average."""
    edges = [*range(0, total, size), total]
    return [(a, b) for a, b in pairwise(edges) if b - a > 1]
