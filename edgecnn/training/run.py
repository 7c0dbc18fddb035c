"""A run folder: what was trained, how, and the weights.

run.json             how it was made, and how good it is
recipe.toml          every setting of the recipe, to train by again: --recipe RUN/recipe.toml
split.json           which images were held out
best.safetensors     weights of the best epoch on the held-out images; best.json says which
last.safetensors     weights of the last epoch
resume.ckpt          what training needs to go on; safetensors too
metrics.csv          a line an epoch
tensorboard/         the same for TensorBoard
snapshots/           weights of chosen layers after each epoch, where --snapshots asked for them
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from torch import nn

from edgecnn.data import DataSet
from edgecnn.models import build
from edgecnn.training.recipe import Recipe
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.bundle import atomic_write
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input

RUN_FILE = "run.json"


class TaughtBy(msgspec.Struct, frozen=True, kw_only=True):
    """The run whose answers another one learns.

    Attributes:
        run: its folder, as it was named.
        sha256: of its weights, so that a run is resumed with the same teacher.
    """

    run: str
    model: str
    width: float
    sha256: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The content of run.json.

    Attributes:
        width: channel multiplier.
        data: as it was named on the command line; `seed` fixes its split.
        metrics: top1 and top5 of the best epoch; empty until the first has ended.
        made: versions, machine and command.
        init: what its weights started from; None for fresh ones.
        teacher: whose answers it learns beside the labels.
        cache: shorter side in pixels of the decoded copies that it trains on; None for the files.
    """

    schema_version: int = 1
    model: str
    width: float = 1.0
    input: Input
    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=2)]
    data: str
    seed: int
    recipe: Recipe
    init: str | None = None
    teacher: TaughtBy | None = None
    cache: int | None = None
    metrics: dict[str, float] = {}
    made: dict[str, Any] = {}

    def network(self) -> nn.Module:
        """The network with fresh weights."""
        return build(
            self.model,
            num_classes=len(self.labels),
            width=self.width,
            in_channels=self.input.channels,
        )


def is_run(path: str | Path) -> bool:
    return (Path(path) / RUN_FILE).is_file()


def write_run(folder: Path, run: Run) -> None:
    data = msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"
    atomic_write(folder / RUN_FILE, data)


def read_run(folder: str | Path) -> Run:
    """Read a run folder's description.

    Raises:
        InputError: not a run folder, or its run.json cannot be read.
    """
    path = Path(folder) / RUN_FILE
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: it has no {RUN_FILE}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Run)
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def had_another_split(folder: str | Path, data: DataSet) -> bool:
    """Whether a run held out other images of this data, so that it may have learned what is held
    out now.
    """
    path = Path(folder) / "split.json"
    if read_run(folder).data != data.name or not path.is_file():
        return False
    before = msgspec.json.decode(path.read_bytes())
    now = msgspec.json.decode(msgspec.json.encode(data.record))
    return any(before.get(name) != now.get(name) for name in ("val", "val_indices"))


def load_network(folder: str | Path, run: Run, weights: str = "best") -> nn.Module:
    """The run's network with its trained weights, in evaluation mode.

    Args:
        weights: `best` or `last`.

    Raises:
        InputError: the weights are missing, cut short, or those of another network.
    """
    network = run.network()
    path = Path(folder) / f"{weights}.safetensors"
    try:
        network.load_state_dict(load_tensors(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"{path} does not fit {run.model} of width {run.width}: {reason}"
        ) from None
    return network.eval()
