"""The feature maps of one picture, layer by layer."""

from __future__ import annotations

import torch

from edgecnn.visualization.maps import map_of, recorded
from edgecnn.visualization.studio import Drawing, Studio
from edgecnn.visualization.tiles import Strip, around_zero, as_colours, mosaic, stack

LAYERS, CHANNELS = 16, 12


def draw_features(studio: Studio) -> Drawing:
    """Of the first picture: in each layer the channels that answer most."""
    names = studio.layers_of(LAYERS)
    with recorded(studio.subject.network, names) as maps, torch.no_grad():
        studio.subject.network(studio.x[:1])
    strips = [_picture(studio)]
    for name in names:
        found = map_of(maps, name)[0]
        available = len(found)
        most = torch.argsort(found.abs().amax((1, 2)), descending=True, stable=True)[:CHANNELS]
        chosen = studio.channels_of(name, sorted(int(c) for c in most), available)
        values = found.numpy()[chosen]
        strips.append(
            Strip(
                f"{name}: {available} x {found.shape[1]}x{found.shape[2]}; channels "
                + ", ".join(str(c) for c in chosen),
                mosaic(list(around_zero(values)), min(CHANNELS, len(chosen))),
                0.58 * min(CHANNELS, len(chosen)),
            )
        )
    what = studio.shown.names[0]
    return Drawing(
        name="features",
        title=f"Feature maps of {what}",
        caption="In each layer the channels with the largest answers, in order of their numbers."
        " The channels of a layer share one scale: black is 0 and the brightest is the layer's"
        " largest answer; where a layer also answers below 0, white is 0, red above, blue below.",
        draw=lambda: stack(strips, f"{what}, layer by layer"),
    )


def _picture(studio: Studio) -> Strip:
    return Strip("what the network is shown", mosaic([as_colours(studio.pixels[0])], 1), 1.4)
