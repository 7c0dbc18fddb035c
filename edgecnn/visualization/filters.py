"""The filters of a network's first layer, and how they came about."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from edgecnn.training.snapshots import layers_with_kernels, read_snapshots, weight_of
from edgecnn.visualization.studio import Drawing, Studio
from edgecnn.visualization.tiles import Colours, Strip, mosaic, signed, stack
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 128  # filters in a picture
ROWS, EPOCHS = 8, 9  # of the evolution


def draw_filters(studio: Studio) -> Drawing:
    """The first layer's filters, all on one scale."""
    subject = studio.subject
    name = layers_with_kernels(subject.network)[0]
    weight = _in_rgb(weight_of(subject.network, name), subject.spec.color)
    chosen = studio.channels_of(name, list(range(min(MOST, len(weight)))), len(weight))
    tiles = signed(weight, float(np.abs(weight).max()))[chosen]
    columns = min(len(chosen), 8 if len(chosen) <= 32 else 16)
    count, _, high, wide = weight.shape
    some = "" if len(chosen) == count else f" {len(chosen)} of"
    title = f"{name}:{some} {count} filters of {high}x{wide}"
    inches = min(6.4, 0.62 * columns)
    strip = Strip(_scale(weight), mosaic(list(tiles), columns), inches)
    return Drawing(
        name="filters",
        title="First-layer filters",
        caption="Mid-grey is a weight of 0. All filters share one scale, from minus to plus the"
        " largest weight of the layer, so that strong and weak ones compare."
        + (" Colours are those of the weights of red, green and blue." if _is_rgb(weight) else ""),
        draw=lambda: stack([strip], title),
    )


def _scale(weight: NDArray[np.float32]) -> str:
    largest = float(np.abs(weight).max())
    return f"black {-largest:.2g}, grey 0, white {largest:.2g}"


def _is_rgb(weight: NDArray[np.float32]) -> bool:
    return bool(weight.shape[1] == 3)


def _in_rgb(weight: torch.Tensor, color: str) -> NDArray[np.float32]:
    """(outputs, 3 or 1, H, W): of more inputs the one with the largest norm."""
    array = weight.numpy()
    if array.shape[1] == 3:
        return array[:, ::-1].copy() if color == "bgr" else array
    if array.shape[1] == 1:
        return array
    norms = np.square(array).sum((2, 3))
    return np.take_along_axis(array, norms.argmax(1)[:, None, None, None], 1)


def has_evolution(studio: Studio) -> bool:
    folder = studio.subject.folder
    return folder is not None and bool(read_snapshots(folder))


def draw_evolution(studio: Studio) -> list[Drawing]:
    """The filters of each layer that a run has kept, epoch by epoch.

    Raises:
        InputError: a run without snapshots, or no run.
    """
    folder = studio.subject.folder
    snapshots = read_snapshots(folder) if folder else {}
    if not snapshots:
        raise InputError(
            f"{folder or studio.subject.title} keeps no weights of its epochs; train it with"
            " --snapshots"
        )
    names = _in_order(studio, list(next(iter(snapshots.values()))))
    return [_evolution(studio, name, snapshots, first=i == 0) for i, name in enumerate(names)]


def _in_order(studio: Studio, names: list[str]) -> list[str]:
    return [name for name in layers_with_kernels(studio.subject.network) if name in names]


def _evolution(
    studio: Studio, name: str, snapshots: dict[int, dict[str, torch.Tensor]], *, first: bool
) -> Drawing:
    weights = {epoch: tensors[name] for epoch, tensors in snapshots.items()}
    shown = chosen_epochs(list(weights))
    last = weights[max(weights)]
    strongest = torch.argsort(last.flatten(1).norm(dim=1), descending=True, stable=True)[:ROWS]
    rows = studio.channels_of(name, sorted(int(i) for i in strongest), len(last))
    plane = _shown_plane(last)
    color = studio.subject.spec.color if first else "rgb"
    array = np.stack([_chosen(weights[e], plane, color)[rows] for e in shown])
    tiles = signed(array.reshape(-1, *array.shape[2:])).reshape(*array.shape[:2], *_hwc(array))
    changes = relative_changes(weights)
    return Drawing(
        name="evolution" if first else f"evolution-{name}",
        title=f"Filters over the epochs: {name}",
        caption="Epoch 0 is before training. One scale for all, mid-grey is 0. The"
        f" {len(rows)} filters with the largest norm at the end"
        + ("" if plane is None else ", each by its strongest input map")
        + ". The curve is the length of an epoch's step over the length of the layer's weights.",
        draw=lambda: _draw_evolution(name, tiles, shown, rows, changes),
    )


def _hwc(array: NDArray[np.float32]) -> tuple[int, int, int]:
    return array.shape[3], array.shape[4], 3


def _shown_plane(weight: torch.Tensor) -> torch.Tensor | None:
    """Of each filter the input map with the largest norm; None where all of it can be shown."""
    if weight.shape[1] in (1, 3):
        return None
    return weight.square().sum((2, 3)).argmax(1)


def _chosen(weight: torch.Tensor, plane: torch.Tensor | None, color: str) -> NDArray[np.float32]:
    if plane is None:
        return _in_rgb(weight, color)
    return weight[torch.arange(len(weight)), plane][:, None].numpy()


def chosen_epochs(epochs: list[int], most: int = EPOCHS) -> list[int]:
    """The first and the last, and between them more early ones than late ones."""
    if len(epochs) <= most:
        return epochs
    last = len(epochs) - 1
    places = {0, *(round(last ** (i / (most - 2))) for i in range(most - 1))}
    for extra in range(last):  # roundings may have met
        if len(places) >= most:
            break
        places.add(extra)
    return [epochs[i] for i in sorted(places)]


def relative_changes(weights: dict[int, torch.Tensor]) -> dict[int, float]:
    """Epoch -> |w - w of the epoch before| / |w|."""
    epochs = sorted(weights)
    pairs = pairwise(epochs)
    return {
        after: float((weights[after] - weights[before]).norm() / weights[after].norm())
        for before, after in pairs
    }


def _draw_evolution(
    name: str, tiles: Colours, epochs: list[int], rows: list[int], changes: dict[int, float]
) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = len(epochs)
    image = mosaic([t for i in range(len(rows)) for t in tiles[:, i]], columns)
    side = 0.6
    high = side * columns * image.shape[0] / image.shape[1]
    size = (0.75 + side * columns + 0.15, 0.75 + high + 1.75)
    figure = Figure(figsize=size)
    left, wide = 0.75 / size[0], side * columns / size[0]
    axes = figure.add_axes((left, 1 - (0.75 + high) / size[1], wide, high / size[1]))
    axes.imshow(image, interpolation="antialiased", aspect="auto")
    axes.set_xticks(_middles(image.shape[1], columns), [str(e) for e in epochs])
    axes.set_yticks(_middles(image.shape[0], len(rows)), [str(r) for r in rows])
    axes.set(xlabel="epoch", ylabel="filter")
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labelsize=8, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    title_y = 1 - 0.16 / size[1]
    figure.text(0.12 / size[0], title_y, name, size=9.5, weight="bold", va="center")
    below = figure.add_axes((left, 0.5 / size[1], wide, 1.05 / size[1]))
    below.plot(list(changes), list(changes.values()), color="#4c78a8", marker=".", lw=1.3)
    below.set(xlabel="epoch", ylabel="change", ylim=(0, None))
    below.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    below.tick_params(labelsize=8)
    below.spines[["top", "right"]].set_visible(False)
    return figure


def _middles(pixels: int, count: int) -> list[float]:
    """Of tiles in a mosaic, nearly: the gaps between them are small."""
    return [(i + 0.5) * pixels / count - 0.5 for i in range(count)]
