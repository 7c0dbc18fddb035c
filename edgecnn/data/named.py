"""DATA on the command line: a name, or an image folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgecnn.data.folders import image_folder
from edgecnn.data.imagenet import imagenet
from edgecnn.data.location import data_folder
from edgecnn.data.mnist5k import mnist5k
from edgecnn.data.published import PUBLISHED, published
from edgecnn.data.splits import DataSet
from edgecnn.data.terrain import terrain
from edgecnn_runtime.errors import InputError, unknown_name

CARRIED: dict[str, Callable[[int], DataSet]] = {"terrain": terrain, "mnist5k": mnist5k}
NAMED = (*CARRIED, *PUBLISHED, "imagenet")


def load_data(
    name: str,
    seed: int = 0,
    *,
    data_dir: str | Path | None = None,
    skip_broken: bool = False,
) -> DataSet:
    """Load a data set by its name, or an image folder by its path.

    Args:
        seed: fixes the split; the same seed gives the same split on every machine.
        data_dir: where named data sets lie that are not carried along; $EDGECNN_DATA or the user's
            cache by default.
        skip_broken: leave broken files of an image folder out and list them.

    Raises:
        InputError: neither a name nor a folder, a folder that cannot be trained on, or a data set
            that is not there and cannot be downloaded.
    """
    if name in CARRIED:
        return CARRIED[name](seed)
    if name in PUBLISHED:
        return published(name, data_folder(data_dir))
    if name == "imagenet":
        return imagenet(data_folder(data_dir))
    path = Path(name)
    if path.is_dir():
        return image_folder(path, seed, skip_broken=skip_broken)
    if path.exists():
        raise InputError(f"{name} is a file; expected a folder with a folder of images per class")
    if "/" in name or "\\" in name:
        raise InputError(
            f"no folder {name}; expected a folder per class, or one of: {', '.join(NAMED)}"
        )
    raise unknown_name("data set", name, NAMED, ", or a folder of images per class")
