"""Which places of a picture speak for the classes that are called first."""

from __future__ import annotations

import numpy as np
import torch

from edgecnn.models.cost import run_once
from edgecnn.visualization.grad_cam import enlarged, grad_cam
from edgecnn.visualization.studio import Drawing, Studio
from edgecnn.visualization.tiles import Cell, Colours, as_colours, grid, heat
from edgecnn_runtime.errors import unknown_name

CALLED = 2  # classes a picture


def draw_cams(studio: Studio) -> Drawing:
    """For each picture the map of the class that is asked for, or of the two called first.

    Raises:
        InputError: a label that the network does not know.
    """
    subject = studio.subject
    layer = studio.layers[-1] if studio.layers else list(studio.maps)[-1]
    probabilities = run_once(subject.network, studio.x).softmax(1)
    ranks = _ranks(studio, probabilities)  # (N, classes a picture)
    maps = [
        enlarged(grad_cam(subject.network, studio.x, layer, ranks[:, i]), subject.shape[1:])
        for i in range(ranks.shape[1])
    ]
    cells = []
    for n, name in enumerate(studio.shown.names):
        picture = as_colours(studio.pixels[n])
        cells.append(Cell(name, picture))
        for i, found in enumerate(maps):
            c = int(ranks[n, i])
            words = f"{subject.labels[c]} {float(probabilities[n, c]):.1%}"
            cells.append(Cell(words, overlay(picture, found[n].numpy())))
    several = len(studio.shown.names) > 1
    columns, side = (1 + len(maps)) * (2 if several else 1), 1.35 if several else 2.2
    return Drawing(
        name="grad-cam",
        title="Grad-CAM",
        caption=f"Which places speak for a class, by the maps of {layer}"
        f" ({'x'.join(str(s) for s in studio.maps.get(layer, ())[1:])} places, enlarged). Bright"
        " speaks most; each picture has its own scale, and where nothing speaks for the class it"
        " stays dark. Left, the picture under its own name.",
        draw=lambda: grid(cells, columns, f"{subject.title}: Grad-CAM", side),
    )


def _ranks(studio: Studio, probabilities: torch.Tensor) -> torch.Tensor:
    labels = studio.subject.labels
    if studio.label is None:
        return probabilities.topk(min(CALLED, len(labels))).indices
    if studio.label not in labels:
        raise unknown_name("label", studio.label, labels)
    return torch.full((len(probabilities), 1), labels.index(studio.label))


def overlay(picture: Colours, shares: Colours) -> Colours:
    """A heat map over a picture that is dimmed to grey: (H, W, 3) and (H, W) of 0 to 1."""
    grey = picture.mean(2, keepdims=True) * 0.55
    strength = (0.75 * shares)[..., None]
    mixed: Colours = grey * (1 - strength) + heat(shares, 1.0, "inferno") * strength
    return np.clip(mixed + 0.15 * shares[..., None], 0, 1)
