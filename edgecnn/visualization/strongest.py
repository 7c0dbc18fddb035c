"""The images of a data set that excite each channel of a layer most, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from edgecnn.visualization.deconvnet import strongest_places
from edgecnn.visualization.maps import map_of, recorded
from edgecnn_runtime.errors import InputError

COUNT = 9


@dataclass(frozen=True)
class Strongest:
    """Of one layer, for each channel the images with the largest responses, the largest first.

    An image counts once, by its strongest place.

    Attributes:
        responses: (channels, count).
        images: (channels, count), place of the image in the data.
        places: (channels, count, 2), row and column in the map.
        means: (channels,), of the largest response to each image.
    """

    responses: torch.Tensor
    images: torch.Tensor
    places: torch.Tensor
    means: torch.Tensor

    def channels(self, count: int) -> list[int]:
        """Those whose best responses stand out most from their mean, in order of their numbers.

        A channel whose best is below a tenth of the layer's comes last: it hardly answers at all.
        """
        best = self.responses.mean(1)
        floor = 0.1 * best.max().clamp(min=torch.finfo().tiny)
        choosy = best / self.means.abs().clamp(min=1e-3 * float(floor))
        order = torch.argsort(torch.where(best > floor, choosy, 0.0), descending=True, stable=True)
        return sorted(int(c) for c in order[:count])


def strongest(
    network: nn.Module,
    batches: Iterable[torch.Tensor],
    layers: Sequence[str],
    count: int = COUNT,
) -> dict[str, Strongest]:
    """Look for them in all images.

    Args:
        batches: what the network takes, (N, C, H, W) each.

    Raises:
        InputError: no images, or a layer that gives no map.
    """
    responses: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    places: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    for x in batches:
        with recorded(network, layers) as maps, torch.no_grad():
            network(x)
        for name in layers:
            m = map_of(maps, name)
            responses[name].append(m.amax((2, 3)))  # (N, C)
            where = strongest_places(m.flatten(0, 1))
            places[name].append(where.view(len(x), m.shape[1], 2))
    if not any(responses.values()):
        raise InputError("no images; expected at least one to look for patches in")
    return {
        name: _best(torch.cat(responses[name]), torch.cat(places[name]), count) for name in layers
    }


def _best(responses: torch.Tensor, places: torch.Tensor, count: int) -> Strongest:
    """Of (images, channels) and (images, channels, 2); among equals the first image."""
    values, order = responses.T.sort(dim=1, descending=True, stable=True)
    images = order[:, :count]
    chosen = places.transpose(0, 1).gather(1, images[..., None].expand(-1, -1, 2))
    return Strongest(values[:, :count], images, chosen, responses.mean(0))
