"""Knowledge distillation: the answers of a trained network as targets of a smaller one.

Hinton, Vinyals, Dean (2015), Distilling the knowledge in a neural network, arXiv:1503.02531.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from edgecnn.models.cost import cost
from edgecnn.training.augment.colour import grey
from edgecnn.training.inputs import to_tensor
from edgecnn.training.run import Run, TaughtBy, load_network, read_run
from edgecnn_runtime.bundle.read import sha256
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input


def distillation_loss(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """T² · KL(softmax(teacher / T) || softmax(student / T)), averaged over the batch.

    T² keeps the gradient's size whatever the temperature, so that alpha means the same.

    Args:
        student, teacher: logits, (N, classes).
    """
    ours = F.log_softmax(student.float() / temperature, 1)
    theirs = F.log_softmax(teacher.float() / temperature, 1)
    divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


@dataclass(frozen=True)
class Teacher:
    """A trained network in evaluation mode, and what it takes."""

    network: nn.Module
    spec: Input

    @torch.no_grad()
    def logits(self, x: torch.Tensor, spec: Input) -> torch.Tensor:
        """What it answers to the student's own images, augmented as they are.

        Args:
            x: float (N, C, H, W) on the scale 0 to 255, before normalisation.
            spec: of the student, whose images these are.

        Returns:
            (N, classes).
        """
        network = self.network.to(x.device)
        images = as_input(x, spec, self.spec)
        out: torch.Tensor = network(to_tensor(images.permute(0, 2, 3, 1), self.spec))
        return out

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return macs(self.network, self.spec)


def macs(network: nn.Module, spec: Input) -> int:
    return cost(network, (spec.channels, spec.height, spec.width)).macs


def as_input(x: torch.Tensor, spec: Input, wanted: Input) -> torch.Tensor:
    """Images of one network as another takes them: its colours, and its size.

    Args:
        x: float (N, C, H, W) on the scale 0 to 255, as `spec` has them.
    """
    if wanted.color == "gray":
        x = grey(x, spec.color)
    elif spec.color == "gray":
        x = x.expand(-1, 3, -1, -1)
    elif spec.color != wanted.color:
        x = x.flip(1)
    if spec.invert != wanted.invert:
        x = 255 - x
    size = (wanted.height, wanted.width)
    if x.shape[2:] != size:
        x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    return x


def teacher_of(folder: str, run: Run) -> TaughtBy:
    """Check that a run can teach another, and describe it.

    Args:
        folder: of the run that teaches.
        run: the student.

    Raises:
        InputError: no run, without weights, with other labels, or one that is shown another part
            of the picture.
    """
    teacher = read_run(folder)
    if teacher.labels != run.labels:
        raise InputError(
            f"--distill {folder} answers with {_some(teacher.labels)}; expected the labels of"
            f" {run.data}: {_some(run.labels)}"
        )
    for who, recipe in ((folder, teacher.recipe), ("this recipe", run.recipe)):
        if recipe.loss == "sse":
            raise InputError(
                f"{who} trains with the loss sse, whose outputs are no logits to soften;"
                " --distill wants cross_entropy in both"
            )
    if _view(teacher.input) != _view(run.input):
        raise InputError(
            f"--distill {folder} is shown its pictures by {_told(teacher.input)}, this run by"
            f" {_told(run.input)}; expected the same part of a picture, in any size"
        )
    load_network(folder, teacher)
    digest = sha256(Path(folder) / "best.safetensors")
    return TaughtBy(run=folder, model=teacher.model, width=teacher.width, sha256=digest)


def load_teacher(run: Run) -> Teacher | None:
    """The network that teaches this run, if one does."""
    if run.teacher is None:
        return None
    folder = run.teacher.run
    teacher = read_run(folder)
    network = load_network(folder, teacher).requires_grad_(False)
    return Teacher(network.to(memory_format=torch.channels_last), teacher.input)


def _view(spec: Input) -> tuple[str, tuple[float, ...]]:
    """How much of a picture is seen, whatever the size: mode, aspect, border, zoom."""
    short = min(spec.height, spec.width)
    border = min(spec.crop) / short if spec.crop else 1.0
    zoom = (spec.shorter_side or short) / short
    return spec.resize, tuple(round(v, 1) for v in (spec.height / spec.width, border, zoom))


def _told(spec: Input) -> str:
    inside = f", {spec.crop[0]}x{spec.crop[1]} of it" if spec.resize == "pad" and spec.crop else ""
    return f"{spec.resize} to {spec.height}x{spec.width}{inside}"


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
