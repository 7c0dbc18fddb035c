"""The patches that excite a feature most, and what of them the feature answers to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecnn.data.splits import ReadFrames
from edgecnn.visualization.boxes import Fields
from edgecnn.visualization.deconvnet import Rule, project
from edgecnn.visualization.reverse_correlation import Box
from edgecnn.visualization.shown import pixels, tensors
from edgecnn.visualization.strongest import COUNT, Strongest, strongest
from edgecnn.visualization.studio import Drawing, Studio
from edgecnn.visualization.tiles import (
    Colours,
    Strip,
    Values,
    as_colours,
    mosaic,
    side_by_side,
    signed,
    stack,
)
from edgecnn_runtime.errors import InputError

LAYERS, CHANNELS = 4, 4
PAIRS = 2  # in a row
SIDE = 3  # patches in a row

WAYS: dict[Rule, str] = {
    "deconv": "DeconvNet: max pooling is undone by its switches, convolutions by their transposed"
    " filters, and what comes back is rectified where the network rectifies",
    "guided": "guided: as a gradient, and what comes back is rectified as well",
    "gradient": "the gradient of the response",
}


def draw_projections(studio: Studio) -> Drawing:
    """For some channels of some layers, nine projections beside their nine patches.

    Raises:
        InputError: no data set to search, or a layer that gives no map.
    """
    if studio.data is None:
        raise InputError(
            "patches are searched in a data set, and none is known; name one by --data"
        )
    subject, names = studio.subject, studio.layers_of(LAYERS)
    frames = ReadFrames(studio.data.val, studio.images)
    found = strongest(subject.network, tensors(frames, subject.spec), names)
    boxes = Fields.of(subject.network, *subject.shape[1:])
    strips = [
        strip for name in names for strip in _strips(studio, name, found[name], frames, boxes)
    ]
    return Drawing(
        name="deconv",
        title="What excites a feature most",
        caption=f"Right of each pair, the {COUNT} of {len(frames):,} held-out images of"
        f" {studio.data.name} with the channel's largest responses, the strongest first, cut to the"
        " receptive field of the unit; left, that unit alone projected back to the pixels"
        f" ({WAYS[studio.rule]}). Each projection has its own scale, mid-grey is 0, and the"
        " largest half a percent of its values are cut off. The channels are those that tell images"
        " apart most.",
        draw=lambda: stack(strips, f"{subject.title}: projections and patches"),
    )


def _strips(
    studio: Studio, layer: str, found: Strongest, frames: ReadFrames, boxes: Fields
) -> list[Strip]:
    channels = studio.channels_of(layer, found.channels(CHANNELS), len(found.responses))
    cuts = {
        c: [boxes.box(layer, int(row), int(column)) for row, column in found.places[c]]
        for c in channels
    }
    size = _largest([box for boxes_ in cuts.values() for box in boxes_])
    pairs = [_pair(studio, layer, c, found, frames, cuts[c], size) for c in channels]
    strips = []
    for start in range(0, len(pairs), PAIRS):
        some, numbers = pairs[start : start + PAIRS], channels[start : start + PAIRS]
        strips.append(
            Strip(
                f"{layer}, sees {boxes.seen(layer)}; channels "
                + ", ".join(str(c) for c in numbers),
                side_by_side(*some),
                3.6 * len(some),
            )
        )
    return strips


def _largest(boxes: Sequence[Box]) -> tuple[int, int]:
    """Height and width that hold each of them."""
    return max(b[2] - b[0] for b in boxes), max(b[3] - b[1] for b in boxes)


def _pair(
    studio: Studio,
    layer: str,
    channel: int,
    found: Strongest,
    frames: ReadFrames,
    cut: Sequence[Box],
    size: tuple[int, int],
) -> Colours:
    """Nine projections, and right of them nine patches."""
    spec, network = studio.subject.spec, studio.subject.network
    chosen = tuple(frames[int(i)] for i in found.images[channel])
    x = next(tensors(chosen, spec))
    back = project(network, x, layer, channel, found.places[channel], rule=studio.rule).numpy()
    if spec.color == "bgr":
        back = back[:, ::-1]
    projections = [
        _cut(signed(b[None], _limit(b))[0], box, size) for b, box in zip(back, cut, strict=True)
    ]
    shown = as_colours(pixels(chosen, spec))
    patches = [_cut(image, box, size) for image, box in zip(shown, cut, strict=True)]
    return side_by_side(mosaic(projections, SIDE), mosaic(patches, SIDE))


def _limit(projection: Values) -> float:
    """A few pixels with far larger values than the others would leave these grey."""
    sizes = np.abs(projection[projection != 0])
    return float(np.quantile(sizes, 0.995)) if len(sizes) else 1.0


def _cut(image: Colours, box: Box, size: tuple[int, int]) -> Colours:
    """The box, in the middle of mid-grey where it is smaller, as at an edge."""
    top, left, bottom, right = box
    canvas = np.full((*size, 3), 0.5, np.float32)
    y, x = (size[0] - (bottom - top)) // 2, (size[1] - (right - left)) // 2
    canvas[y : y + bottom - top, x : x + right - left] = image[top:bottom, left:right]
    return canvas
