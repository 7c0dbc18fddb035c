"""Quantisation-aware fine-tuning: a network that is to run in INT8 trains as if it did."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import torch
import torch.nn.functional as F
from lightning import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import nn
from torch.overrides import TorchFunctionMode

from edgecnn.data import DataSet
from edgecnn.training.fit import quiet
from edgecnn.training.inputs import to_tensor
from edgecnn.training.loading import loaders
from edgecnn.training.module import Classification
from edgecnn.training.run import Run
from edgecnn_runtime.errors import InputError, InterruptedRunError

LEVELS = 127
LR, RANGE_LR = 1e-4, 1e-2  # of the weights; of the logarithms of the ranges
OPERATORS = (F.conv2d, F.linear)


class Layer(NamedTuple):
    """A convolution or a linear layer, as it stands in the graph."""

    input: str  # the tensor that it reads
    weights: tuple[int, ...]  # their shape


def straight_through(x: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
    """Round to 127 steps on either side of zero and cut what lies beyond `largest`.

    The gradient takes the rounding for the identity, and reaches `largest` too (Jain et al., 2020,
    https://arxiv.org/abs/1903.08066): it grows where cutting hurts and shrinks where coarse steps
    do.
    """
    step = largest / LEVELS
    y = (x / step).clamp(-LEVELS, LEVELS)
    return (y + (y.round() - y).detach()) * step


class _Rounding(TorchFunctionMode):
    """Rounds what convolutions and linear layers read, whichever module calls them.

    Args:
        ranges: the largest |input| of each layer, in the order in which they run; without them
            nothing is rounded.
    """

    def __init__(self, ranges: Sequence[torch.Tensor] = ()) -> None:
        super().__init__()
        self.ranges = ranges
        self.shapes: list[tuple[int, ...]] = []  # of the weights
        self.largest: list[float] = []  # |input|

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here; PyTorch would import its compiler, for seconds, to say so."""
        return False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in OPERATORS:
            x, weight, *rest = args
            if self.ranges:
                x = straight_through(x, self.ranges[len(self.shapes)])
                args = (x, straight_through(weight, _per_channel(weight)), *rest)
            else:
                self.largest.append(float(x.abs().max()))
            self.shapes.append(tuple(weight.shape))
        return func(*args, **(kwargs or {}))


def _per_channel(weight: torch.Tensor) -> torch.Tensor:
    """The largest |weight| of each output channel.

    Batch norm, which the exporter folds into the weights, scales whole output channels and with
    them their steps: it changes nothing that is rounded here.
    """
    return weight.detach().abs().amax(tuple(range(1, weight.ndim)), keepdim=True).clamp_min(1e-12)


class Quantized(nn.Module):
    """A network whose convolutions and linear layers compute as the exported INT8 graph does.

    It stays in evaluation mode: batch norm keeps its statistics, which are folded into the weights,
    and auxiliary heads are left out.

    Args:
        network: float (N, C, H, W) -> logits (N, num_classes).
        layers: in the order in which they run.
        ranges: the largest |x| of each tensor that they read.
    """

    def __init__(
        self, network: nn.Module, layers: Sequence[Layer], ranges: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.network = network.eval()
        self.tensors = list(dict.fromkeys(layer.input for layer in layers))
        self.index = [self.tensors.index(layer.input) for layer in layers]
        largest = torch.tensor([ranges[name] for name in self.tensors])
        self.log_ranges = nn.Parameter(largest.clamp_min(1e-12).log())

    def train(self, mode: bool = True) -> Quantized:
        self.training = mode
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ranges = self.log_ranges.exp().unbind()
        with _Rounding([ranges[number] for number in self.index]):
            logits: torch.Tensor = self.network(x)
        return logits

    def ranges(self) -> dict[str, float]:
        return dict(zip(self.tensors, self.log_ranges.detach().exp().tolist(), strict=True))


class _FineTuning(Classification):
    def configure_optimizers(self) -> Any:
        assert isinstance(self.network, Quantized)
        groups = [
            {"params": self.network.network.parameters(), "lr": LR},
            {"params": [self.network.log_ranges], "lr": RANGE_LR},
        ]
        optimizer = torch.optim.Adam(groups)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def fine_tune(
    network: nn.Module,
    run: Run,
    data: DataSet,
    layers: Sequence[Layer],
    ranges: Mapping[str, float],
    epochs: int,
) -> dict[str, float]:
    """Train a network on with its values rounded to eight bits; it is changed in place.

    Images, augmentation and batch size are those of the run's recipe. Adam with a small rate takes
    the place of the recipe's optimiser.

    Args:
        layers: of the network's graph, in the order in which they run.
        ranges: the largest |x| of each tensor that they read, from calibration. That of the first
            layer is found anew: in the graph it reads grey levels.

    Returns:
        The ranges that were learned.

    Raises:
        InputError: the network runs other layers than its graph.
        InterruptedRunError: on SIGINT.
    """
    torch.manual_seed(run.seed)
    recipe = msgspec.structs.replace(run.recipe, epochs=epochs, ema=None, max_filter_rms=None)
    run = msgspec.structs.replace(run, recipe=recipe)
    train, _ = loaders(run, data)
    first = _first_range(network, run, layers, next(iter(train))[0])
    quantized = Quantized(network, layers, {**ranges, layers[0].input: first})
    module = _FineTuning(quantized, run, len(train) * epochs)
    bar = sys.stderr.isatty()
    with warnings.catch_warnings():
        quiet()
        trainer = Trainer(
            max_epochs=epochs,
            accelerator="auto",
            devices=1,
            logger=False,
            callbacks=[TQDMProgressBar(leave=False)] if bar else [],
            enable_checkpointing=False,
            enable_progress_bar=bar,
            enable_model_summary=False,
        )
        try:
            trainer.fit(module, train)
        except SystemExit:  # Lightning ends the process when it is interrupted
            raise InterruptedRunError("interrupted while fine-tuning for INT8") from None
    network.cpu().eval()
    return quantized.ranges()


def _first_range(
    network: nn.Module, run: Run, layers: Sequence[Layer], images: torch.Tensor
) -> float:
    """The largest |x| that the first layer reads; the order of the layers is checked by the way."""
    with torch.no_grad(), _Rounding() as seen:
        network.eval()(to_tensor(images, run.input))
    if seen.shapes != [layer.weights for layer in layers]:
        raise InputError(
            f"{run.model} runs {len(seen.shapes)} convolutions and linear layers, its graph has"
            f" {len(layers)}, and not the same: it cannot be fine-tuned for INT8; leave out"
            " --qat-epochs"
        )
    first: float = seen.largest[0]
    return first
