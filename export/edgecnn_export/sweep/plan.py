"""What a sweep is to make: a grid of widths, resolutions and precisions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgecnn.models.registry import check_resolution, entry
from edgecnn_export.precisions import parse_precisions
from edgecnn_runtime.errors import InputError

# The grid of the MobileNet paper, section 4.
WIDTHS = (1.0, 0.75, 0.5, 0.25)
SHARES = (1.0, 192 / 224, 160 / 224, 128 / 224)  # of the network's own resolution
FOR_CPUS, FOR_GPUS = ("fp32", "int8-cpu"), ("fp32", "fp16", "int8")


class Point(msgspec.Struct, frozen=True, order=True):
    """One network of the grid, in all its precisions.

    Attributes:
        width: channel multiplier.
        height, across: of the input, pixels.
        run: an existing run folder that it is taken from; empty where it is trained.
    """

    width: float
    height: int
    across: int
    run: str = ""

    @property
    def resolution(self) -> str:
        same = self.height == self.across
        return str(self.height) if same else f"{self.height}x{self.across}"

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"w{self.width:g}-r{self.resolution}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a sweep makes; it lies in its folder as sweep.json.

    Attributes:
        epochs, batch, recipe: None for the recipe's or the data's own.
        supernet: train the family as one network with shared weights.
        threads: of PyTorch and ONNX Runtime. Another count rounds sums in another order.
        max_drop: points of top-1 that INT8 may lose before layers stay in FP32.
    """

    model: str
    data: str
    points: tuple[Point, ...]
    precisions: tuple[str, ...]
    targets: str = ""
    compiler: str = "auto"
    epochs: int | None = None
    batch: int | None = None
    recipe: str | None = None
    seed: int = 0
    supernet: bool = False
    threads: int = 1
    calibration: str = "auto"
    calibration_images: int = 128
    max_drop: float = 100.0


# A folder is gone on with where these are the same; another grid or precision is added to it.
FIXED = ("model", "data", "epochs", "batch", "recipe", "seed", "supernet")


def grid(model: str, widths: str | None, resolutions: str | None) -> tuple[Point, ...]:
    """The networks of a grid, the largest first; the paper's grid where nothing is said.

    Raises:
        InputError: an unknown network, or a width or resolution that it does not take.
    """
    from edgecnn.commands.train import parse_resolution

    row = entry(model)
    if resolutions:
        sizes = [parse_resolution(part.strip()) for part in resolutions.split(",")]
    elif row.has_width:
        sizes = [(round(row.resolution * share),) * 2 for share in SHARES]
    else:
        sizes = [(row.resolution, row.resolution)]
    for size in sizes:
        check_resolution(model, *size)
    chosen = _numbers(widths) if widths else (WIDTHS if row.has_width else (1.0,))
    if not row.has_width and chosen != (1.0,):
        raise InputError(f"{model} has no width multiplier, got --widths {widths}; leave it out")
    points = {Point(w, h, a) for w in chosen for h, a in sizes}
    return tuple(sorted(points, reverse=True))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--widths {text!r}; expected numbers such as 0.25,0.5,1") from None
    if not all(0 < width <= 4 for width in found):
        raise InputError(f"--widths {text!r}; expected numbers above 0 and at most 4")
    return found


def of_runs(folders: Iterable[str]) -> tuple[str, str, int, tuple[Point, ...]]:
    """Runs that exist as a grid.

    Returns:
        Network, data, seed, and the points, the largest first.

    Raises:
        InputError: none, no run folders, or of different networks or data.
    """
    from edgecnn.training.run import read_run

    found = {str(Path(folder)): read_run(folder) for folder in folders}
    if not found:
        raise InputError("no runs; expected --runs DIR for each")
    first, one = next(iter(found.items()))
    points: dict[str, Point] = {}
    for folder, run in found.items():
        for field in ("model", "data", "seed", "labels"):
            if getattr(run, field) != getattr(one, field):
                raise InputError(f"{folder} and {first} differ in {field}; expected one family")
        if not run.metrics:
            raise InputError(f"{folder} has not ended its first epoch; go on with it, or leave it")
        point = Point(run.width, run.input.height, run.input.width, folder)
        if point.name in points:
            raise InputError(
                f"{folder} and {points[point.name].run} have the same width and resolution"
            )
        points[point.name] = point
    return one.model, one.data, one.seed, tuple(sorted(points.values(), reverse=True))


def precisions_for(text: str | None, targets: str) -> tuple[str, ...]:
    """The precisions asked for; else those that pay on a CPU, or on the GPUs of the targets."""
    if text:
        return parse_precisions(text)
    return FOR_GPUS if targets else FOR_CPUS
