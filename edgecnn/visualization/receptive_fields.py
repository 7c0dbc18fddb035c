"""Receptive fields, measured by noise and by gradients, beside the calculated ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from edgecnn.data.splits import ReadFrames
from edgecnn.visualization.boxes import Fields
from edgecnn.visualization.maps import map_of, recorded, spread
from edgecnn.visualization.reverse_correlation import (
    Box,
    Correlation,
    Unit,
    box_of,
    effective_size,
    mean_gradients,
    noise,
    reverse_correlation,
)
from edgecnn.visualization.shown import tensors
from edgecnn.visualization.studio import Drawing, Studio
from edgecnn.visualization.tiles import Cell, Colours, grid, heat, signed

LAYERS = 4
FEW = 128  # stimuli and photographs that gradients are averaged over


@dataclass(frozen=True)
class Measured:
    """The field of one unit, by three measurements and by calculation.

    Attributes:
        correlation: of noise and response.
        gradient: (C, H, W), the mean over the same noise.
        reach: (H, W), the mean size of the gradient, over noise and photographs.
        box: as calculated.
    """

    unit: Unit
    correlation: Correlation
    gradient: torch.Tensor
    reach: torch.Tensor
    box: Box

    @property
    def seen(self) -> Box | None:
        """Where the gradient is not 0."""
        return box_of(self.reach > 0)


def measure_fields(studio: Studio) -> list[Measured]:
    """Of the unit in the middle of each layer's map, in the channel that noise moves most."""
    network, shape = studio.subject.network, studio.subject.shape
    boxes = Fields.of(network, *shape[1:])
    units = _units(studio, list(studio.layers) or _local(studio, boxes))
    found = reverse_correlation(network, shape, units, stimuli=studio.noises, seed=studio.seed)
    return [
        _measured(studio, unit, correlation, boxes)
        for unit, correlation in zip(units, found, strict=True)
    ]


def _local(studio: Studio, boxes: Fields) -> list[str]:
    """Layers whose units see a part of the image, where there are any."""
    whole = studio.subject.shape[1] * studio.subject.shape[2]
    local = []
    for name, (_, height, width) in studio.maps.items():
        top, left, bottom, right = boxes.box(name, height // 2, width // 2)
        if (bottom - top) * (right - left) < whole / 2:
            local.append(name)
    return spread(local or list(studio.maps), LAYERS)


def _units(studio: Studio, names: list[str]) -> list[Unit]:
    (x,) = noise(studio.subject.shape, 64, studio.seed)
    with recorded(studio.subject.network, names) as maps, torch.no_grad():
        studio.subject.network(x)
    units = []
    for name in names:
        found = map_of(maps, name)
        row, column = found.shape[2] // 2, found.shape[3] // 2
        most = int(found[:, :, row, column].std(0).argmax())
        (channel, *_) = studio.channels_of(name, [most], found.shape[1])
        units.append(Unit(name, channel, row, column))
    return units


def _measured(studio: Studio, unit: Unit, correlation: Correlation, boxes: Fields) -> Measured:
    network, spec = studio.subject.network, studio.subject.spec
    few = noise(studio.subject.shape, min(FEW, studio.noises), studio.seed)
    gradient, over_noise = mean_gradients(network, few, unit)
    frames = studio.shown.frames if studio.data is None else ReadFrames(studio.data.val, FEW)
    _, over_photographs = mean_gradients(network, tensors(frames, spec), unit)
    box = boxes.box(unit.layer, unit.row, unit.column)
    return Measured(unit, correlation, gradient, over_noise + over_photographs, box)


def draw_receptive_fields(studio: Studio) -> Drawing:
    """A row for each layer: by noise, its limit, and by gradients over photographs."""
    measured = measure_fields(studio)
    cells = [cell for m in measured for cell in _cells(m, studio.subject.spec.color)]
    return Drawing(
        name="receptive-field",
        title="Receptive fields",
        caption="Of the unit in the middle of each map, in the channel that noise moves most; the"
        f" green frame is the calculated field. Left, reverse correlation: the mean of"
        f" {studio.noises:,} pictures of white noise, each weighed by the unit's response; for a"
        " unit that is linear it converges to its kernel, and deep units need more noise than that"
        f" to rise above it. Middle, what it converges to (Stein's lemma): the mean gradient, over"
        f" {min(FEW, studio.noises)} of them. Right, the effective field: the mean size of the"
        " gradient, over the noise and over photographs.",
        draw=lambda: grid(cells, 3, f"{studio.subject.title}: what a unit sees"),
        table=(HEADINGS, *(_row(m) for m in measured)),
    )


HEADINGS = ("layer, channel", "calculated", "gradient not 0", "by noise", "effective")


def _row(m: Measured) -> tuple[str, ...]:
    return (
        f"{m.unit.layer}, {m.unit.channel}",
        _size(m.box),
        _size(m.seen),
        _size(m.correlation.box),
        f"{effective_size(m.reach):.0f}",
    )


def _size(box: Box | None) -> str:
    return "none" if box is None else f"{box[2] - box[0]}x{box[3] - box[1]}"


def _cells(m: Measured, color: str) -> list[Cell]:
    """Cut to the calculated field and a margin, so that small fields are seen."""
    view = _view(m.box, tuple(m.reach.shape))
    box = m.box[0] - view[0], m.box[1] - view[1], m.box[2] - view[0], m.box[3] - view[1]
    images = [_signed(t, view, color) for t in (m.correlation.field, m.gradient)]
    top, left, bottom, right = view
    images.append(heat(m.reach.numpy()[top:bottom, left:right]))
    size = _size(m.box)
    titles = (
        f"{m.unit.layer}, channel {m.unit.channel}\nreverse correlation",
        "\nits limit: the mean gradient",
        f"calculated {size}, effective {effective_size(m.reach):.0f}\nsize of the gradient",
    )
    return [Cell(t, image, box) for t, image in zip(titles, images, strict=True)]


def _signed(values: torch.Tensor, view: Box, color: str) -> Colours:
    top, left, bottom, right = view
    array = values.numpy()[::-1] if color == "bgr" else values.numpy()
    cut: Colours = signed(array[None, :, top:bottom, left:right])[0]
    return cut


def _view(box: Box, size: tuple[int, ...]) -> Box:
    """The field and a margin of a sixth around it, inside the image."""
    margin = max(2, max(box[2] - box[0], box[3] - box[1]) // 6)
    top, left = max(0, box[0] - margin), max(0, box[1] - margin)
    return top, left, min(size[0], box[2] + margin), min(size[1], box[3] + margin)
