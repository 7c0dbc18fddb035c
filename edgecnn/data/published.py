"""MNIST, CIFAR, STL-10 and SVHN by torchvision's readers, which download what is not there."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.splits import DataSet
from edgecnn_runtime.errors import InputError, one_line

Frame = NDArray[np.uint8]

DIGITS = tuple(str(d) for d in range(10))


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size that lie in memory."""

    images: NDArray[np.uint8]  # (N, H, W) grey, or (N, H, W, 3) RGB
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        image = self.images[index]
        if image.ndim == 2:
            return np.repeat(image[:, :, None], 3, axis=2)
        return np.ascontiguousarray(image[:, :, ::-1])


class Published(NamedTuple):
    """One data set of torchvision.

    Attributes:
        read: (folder, whether to train, whether to download) -> pictures and labels.
        files: what the reader looks for, relative to the folder.
    """

    read: Callable[[Path, bool, bool], tuple[Pictures, tuple[str, ...]]]
    files: str
    recipe: str = "default"


def published(name: str, folder: Path) -> DataSet:
    """Read a data set's training and test splits, as its authors divided it.

    Args:
        name: one of `PUBLISHED`.
        folder: where its files lie; they are downloaded to it where they are missing.

    Raises:
        InputError: the files are missing and cannot be downloaded, or are not what they should be.
    """
    row = PUBLISHED[name]
    train, labels = _read(name, row, folder, train=True)
    val, _ = _read(name, row, folder, train=False)
    grey = train.images.ndim == 3
    return DataSet(
        name=name,
        labels=labels,
        train=train,
        val=val,
        recipe=row.recipe,
        record={"split": "its authors'", "train": len(train), "val": len(val)},
        content=28 / 32 if grey else 1.0,
        grey=grey,
        # Background -0.1 and ink 1.175, as LeCun et al. (1998) have it.
        normalisation=(0.1 / 1.275, 1 / 1.275) if grey else (0.449, 0.226),
        in_memory=True,
    )


def _read(
    name: str, row: Published, folder: Path, *, train: bool
) -> tuple[Pictures, tuple[str, ...]]:
    try:
        return row.read(folder, train, False)
    except Exception as error:  # readers of three formats have many ways to fail
        if "not found" not in str(error):  # torchvision's word for missing, or another checksum
            raise InputError(
                f"{name} in {folder} cannot be read: {one_line(error)}; expected {row.files}"
            ) from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints which mirror failed
            return row.read(folder, train, True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{name} is not in {folder} and cannot be downloaded ({_reason(error)}); get it on"
            f" another machine and put there: {row.files}"
        ) from error


def _reason(error: BaseException) -> str:
    """What the network said, which torchvision wraps, or the last of what several hosts said."""
    said = str(getattr(error, "reason", error)).strip().splitlines() or [type(error).__name__]
    return said[-1].removeprefix("<urlopen error ").removesuffix(">")


def _mnist(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    from torchvision.datasets import MNIST

    data = MNIST(folder, train=train, download=download)
    return Pictures(data.data.numpy(), data.targets.numpy().astype(np.int64)), DIGITS


def _cifar10(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    from torchvision.datasets import CIFAR10

    data = CIFAR10(folder, train=train, download=download)
    return Pictures(data.data, np.array(data.targets, np.int64)), tuple(data.classes)


def _cifar100(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    from torchvision.datasets import CIFAR100

    data = CIFAR100(folder, train=train, download=download)
    return Pictures(data.data, np.array(data.targets, np.int64)), tuple(data.classes)


def _cifar100_coarse(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    """torchvision's reader leaves the twenty superclasses out; they stand in the same files, whose
    checksums it has just verified.
    """
    from torchvision.datasets import CIFAR100

    data = CIFAR100(folder, train=train, download=download)
    base = Path(data.root) / data.base_folder
    files = data.train_list if train else data.test_list
    coarse = [label for name, _ in files for label in _unpickle(base / name)["coarse_labels"]]
    labels = _unpickle(base / data.meta["filename"])["coarse_label_names"]
    return Pictures(data.data, np.array(coarse, np.int64)), tuple(labels)


def _unpickle(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file, encoding="latin1")


def _stl10(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    from torchvision.datasets import STL10

    class Labelled(STL10):  # type: ignore[misc]
        """Without the checksum of 2.6 GB of unlabelled pictures, which nobody asked for."""

        train_list = STL10.train_list[:2]

    data = Labelled(folder, split="train" if train else "test", download=download)
    images = np.ascontiguousarray(data.data.transpose(0, 2, 3, 1))
    return Pictures(images, data.labels.astype(np.int64)), tuple(data.classes)


def _svhn(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    return _house_numbers(folder, ("train",) if train else ("test",), download), DIGITS


def _svhn_extra(folder: Path, train: bool, download: bool) -> tuple[Pictures, tuple[str, ...]]:
    return _house_numbers(folder, ("train", "extra") if train else ("test",), download), DIGITS


def _house_numbers(folder: Path, splits: tuple[str, ...], download: bool) -> Pictures:
    from torchvision.datasets import SVHN

    parts = [SVHN(folder, split=split, download=download) for split in splits]
    images = np.concatenate([part.data for part in parts]).transpose(0, 2, 3, 1)
    targets = np.concatenate([np.atleast_1d(part.labels) for part in parts])
    return Pictures(np.ascontiguousarray(images), targets.astype(np.int64))


PUBLISHED = {
    "mnist": Published(
        _mnist,
        "MNIST/raw/train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and"
        " t10k-labels-idx1-ubyte",
        recipe="digits",
    ),
    "cifar10": Published(_cifar10, "cifar-10-batches-py/, from cifar-10-python.tar.gz", "cifar"),
    "cifar100": Published(_cifar100, "cifar-100-python/, from cifar-100-python.tar.gz", "cifar"),
    "cifar100-coarse": Published(
        _cifar100_coarse, "cifar-100-python/, from cifar-100-python.tar.gz", "cifar"
    ),
    "stl10": Published(_stl10, "stl10_binary/, from stl10_binary.tar.gz", "cifar"),
    "svhn": Published(_svhn, "train_32x32.mat and test_32x32.mat", "svhn"),
    "svhn-extra": Published(
        _svhn_extra, "train_32x32.mat, extra_32x32.mat and test_32x32.mat", "svhn"
    ),
}
