"""Every network of the zoo learns, by the road that `edgecnn train` takes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, Split, load_data
from edgecnn.models import ZOO
from edgecnn.training.fit import Trained, fit
from edgecnn.training.run import Run
from edgecnn.training.weights import load_tensors

HELD_OUT = 200
# Five standard deviations above chance are 0.21 of ten digits and 0.50 of three kinds of ground.
BAR = {"mnist5k": 0.5, "terrain": 0.65}
CHEAPEST = ("neocognitron", "lenet5_modern", "mobilenet_v1")


class Row(NamedTuple):
    """How one network is trained."""

    data: str
    resolution: int
    images: int
    epochs: int
    optimizer: str = "sgd"
    lr: float = 0.05
    batch: int = 32
    width: float = 1.0


# fmt: off
ROWS = {
    #                              data      res  images epochs
    "neocognitron":       Row("mnist5k",  19, 1000, 8, "adamw", 1e-2),
    "lenet5":             Row("mnist5k",  32, 1000, 6, "sgd", 0.05),
    "lenet5_modern":      Row("mnist5k",  32, 1000, 6, "sgd", 0.05),
    "alexnet":            Row("terrain",  63, 450, 5, "adamw", 2e-4),
    "alexnet_two_tower":  Row("terrain",  67, 450, 5, "adamw", 2e-4),
    "zfnet":              Row("terrain",  64, 450, 5, "adamw", 2e-4),
    "zfnet_wide":         Row("terrain",  64, 450, 4, "adamw", 2e-4),
    # An epoch writes two and a half gigabytes of these weights and moments.
    "vgg16":              Row("terrain",  32, 900, 2, "adamw", 1e-4),
    "vgg19":              Row("terrain",  32, 900, 3, "adamw", 1e-4),
    "vgg16_bn":           Row("terrain",  32, 600, 2, "adamw", 3e-4),
    "vgg19_bn":           Row("terrain",  32, 600, 3, "adamw", 1e-4),
    "googlenet":          Row("terrain",  32, 300, 6, "adamw", 1e-3),
    "googlenet_bn":       Row("terrain",  32, 300, 6, "adamw", 1e-3),
    "inception_v2":       Row("terrain",  32, 300, 6, "adamw", 1e-3),
    "inception_v3":       Row("terrain",  75, 240, 5, "adamw", 1e-3, 16),
    "inception_v4":       Row("terrain",  75, 240, 5, "adamw", 1e-3, 16),
    "resnet18":           Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "resnet34":           Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "resnet50":           Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "resnet101":          Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "resnet152":          Row("terrain",  32, 300, 8, "adamw", 1e-3, 16),
    "densenet121":        Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "densenet169":        Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "densenet201":        Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "mobilenet_v1":       Row("terrain",  32, 450, 8, "adamw", 2e-3, 16, width=0.25),
    "mobilenet_v2":       Row("terrain",  32, 450, 8, "adamw", 2e-3, 16, width=0.5),
    # Their batch norm averages over a hundred steps, not ten: it takes some hundreds to be right.
    "mobilenet_v3_large": Row("terrain",  32, 900, 8, "adamw", 2e-3, 16, width=0.5),
    "mobilenet_v3_small": Row("terrain",  32, 900, 8, "adamw", 2e-3, 16, width=0.5),
    "xception":           Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "fractalnet20":       Row("terrain",  32, 300, 6, "adamw", 1e-3),
    "squeezenet1_0":      Row("terrain",  48, 450, 8, "adamw", 1e-3),
    "squeezenet1_1":      Row("terrain",  48, 450, 8, "adamw", 1e-3),
    "seresnet50":         Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "seresnet101":        Row("terrain",  32, 300, 6, "adamw", 1e-3, 16),
    "seresnet152":        Row("terrain",  32, 300, 7, "adamw", 1e-3, 16),
    "senet154":           Row("terrain",  32, 240, 5, "adamw", 1e-3, 16),
}
# fmt: on


@dataclass(frozen=True)
class Part:
    """Some of a split's frames, spread over it evenly: every class has its share."""

    whole: Split
    count: int

    def __len__(self) -> int:
        return self.count

    @property
    def targets(self) -> NDArray[np.int64]:
        return self.whole.targets[self._place(np.arange(self.count))]

    def frame(self, index: int, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
        return self.whole.frame(int(self._place(np.array(index))), rng)

    def _place(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        return index * len(self.whole) // self.count


def some_of(name: str, images: int) -> DataSet:
    data = load_data(name)
    return replace(data, train=Part(data.train, images), val=Part(data.val, HELD_OUT))


def train(name: str, row: Row, out: Path, seed: int = 0) -> tuple[Run, Trained, list[float]]:
    """The run, its result, and the training loss of each epoch."""
    data = some_of(row.data, row.images)
    run = describe(
        data,
        name,
        width=row.width,
        resolution=str(row.resolution),
        epochs=row.epochs,
        batch=row.batch,
        lr=row.lr,
        seed=seed,
    )
    # Without weight decay nothing but a gradient moves a weight.
    recipe = msgspec.structs.replace(run.recipe, optimizer=row.optimizer, weight_decay=0.0)
    run = msgspec.structs.replace(run, recipe=recipe)
    result = fit(run, data, out, progress=False)
    with (out / "metrics.csv").open() as file:
        losses = [float(line["train_loss"]) for line in csv.DictReader(file) if line["train_loss"]]
    return run, result, losses


@pytest.fixture
def out() -> Iterator[Path]:
    """A run folder that does not stay: VGG's weights and moments are two gigabytes."""
    with TemporaryDirectory() as folder:
        yield Path(folder) / "run"


def test_every_network_of_the_zoo_is_trained_here() -> None:
    assert set(ROWS) == set(ZOO)


@pytest.mark.parametrize(
    "name", [n if n in CHEAPEST else pytest.param(n, marks=pytest.mark.slow) for n in ROWS]
)
def test_a_network_learns_what_it_has_not_seen(name: str, out: Path) -> None:
    row = ROWS[name]
    run, result, losses = train(name, row, out)
    print(
        f"{name} {row}: loss {losses[0]:.3f} to {losses[-1]:.3f}, top-1 {result.top1:.3f},"
        f" {result.seconds:.0f} s"
    )
    assert len(losses) == row.epochs
    assert losses[-1] < 0.7 * losses[0]
    assert result.top1 >= BAR[row.data]
    torch.manual_seed(run.seed)
    before, after = run.network(), load_tensors(out / "last.safetensors")
    still = [n for n, p in before.named_parameters() if torch.equal(p, after[n])]
    assert not still
