"""What every picture of a network is made from, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from edgecnn.data import DataSet
from edgecnn.evaluation.predict import prepared
from edgecnn.models.cost import cost
from edgecnn.visualization.deconvnet import Rule
from edgecnn.visualization.maps import Shape, check_layers, map_layers, spread
from edgecnn.visualization.shown import Frame, Shown, pixels
from edgecnn.visualization.subject import Subject
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


STIMULI, FEWEST = 4096, 256
BUDGET = 10**12  # multiply-accumulates; from 0.25 G for one picture on there are fewer stimuli


@dataclass(frozen=True)
class Drawing:
    """A picture that can be drawn in any theme.

    Attributes:
        name: of its file, without a suffix.
        caption: what is seen, and how it was made comparable.
        table: the figures in it, a row of headings first; may be empty.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Studio:
    """A network, pictures to show it, and what a person chose to look at.

    Attributes:
        data: for what needs many images; None where none is known.
        layers, channels: to look at; empty for a choice of ours.
        label: the class that Grad-CAM looks for; None for the two that are called first.
        images: held-out images that patches are searched in.
        stimuli: of reverse correlation; None for as many as a large network allows in minutes.
    """

    subject: Subject
    shown: Shown
    data: DataSet | None = None
    layers: tuple[str, ...] = ()
    channels: tuple[int, ...] = ()
    label: str | None = None
    rule: Rule = "deconv"
    images: int = 1000
    stimuli: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_layers(self.layers, self.subject.network, list(self.maps))

    @cached_property
    def maps(self) -> dict[str, Shape]:
        """The layers that give maps, in the order in which they run."""
        x = torch.zeros(1, *self.subject.shape)
        return map_layers(self.subject.network, x)

    @cached_property
    def x(self) -> torch.Tensor:
        """The pictures as the network takes them: float32 (N, C, H, W)."""
        return prepared(list(self.shown.frames), self.subject.spec)

    @cached_property
    def pixels(self) -> Frame:
        """The pictures as a person sees them: uint8 (N, H, W, 3 or 1), RGB."""
        return pixels(self.shown.frames, self.subject.spec)

    @cached_property
    def noises(self) -> int:
        """How many stimuli are shown."""
        macs = cost(self.subject.network, self.subject.shape).macs
        return self.stimuli or int(min(STIMULI, max(FEWEST, BUDGET // macs)))

    def layers_of(self, count: int) -> list[str]:
        """What a person chose, or as many as that from the first to the last."""
        return list(self.layers) or spread(list(self.maps), count)

    def channels_of(self, layer: str, strongest: list[int], available: int) -> list[int]:
        """What a person chose, or the strongest ones.

        Raises:
            InputError: a channel that the layer has not.
        """
        wrong = [c for c in self.channels if not 0 <= c < available]
        if wrong:
            raise InputError(f"channel {wrong[0]}; {layer} has {available}, from 0 on")
        return list(self.channels) or strongest
