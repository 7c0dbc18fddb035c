"""ImageNet, the ILSVRC 2012 challenge: 1.2 million photographs of a thousand classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from edgecnn.data.folders import Files
from edgecnn.data.splits import DataSet
from edgecnn_runtime.errors import InputError, one_line

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def imagenet(folder: Path) -> DataSet:
    """Read ImageNet as torchvision lays it out: train/ and val/ with a folder per WordNet id.

    They lie in the folder, or in `imagenet` inside it.

    The archives are unpacked where they lie, once, if that has not been done. Nobody may hand them
    on, so that nothing is downloaded. The files are not read beforehand: that takes an hour.

    Raises:
        InputError: archives or folders are missing.
    """
    from torchvision.datasets import ImageNet

    if (folder / "imagenet").is_dir():
        folder = folder / "imagenet"
    try:
        train, val = (ImageNet(folder, split=split) for split in ("train", "val"))
    except (RuntimeError, FileNotFoundError) as error:
        raise InputError(
            f"imagenet is not whole in {folder} ({one_line(error).rstrip('.')}); get {DEVKIT},"
            f" {TRAIN} and {VAL} from image-net.org, which wants an account, and put them there"
        ) from error
    return DataSet(
        name="imagenet",
        labels=_labels(train.classes, train.wnids),
        train=_files(train.samples),
        val=_files(val.samples),
        recipe="resnet",
        record={"split": "its authors'", "train": len(train), "val": len(val)},
        shorter=1 / 0.875,
    )


def _labels(classes: list[tuple[str, ...]], ids: list[str]) -> tuple[str, ...]:
    """The first name of each class; two cranes and two maillots get their WordNet ids."""
    first = [names[0] for names in classes]
    often = Counter(first)
    return tuple(
        name if often[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(first, ids, strict=True)
    )


def _files(samples: list[tuple[str, int]]) -> Files:
    paths, targets = zip(*samples, strict=True)
    return Files(tuple(Path(p) for p in paths), np.array(targets, dtype=np.int64))
