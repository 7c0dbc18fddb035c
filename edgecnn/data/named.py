"""DATA on the command line: a name, or an image folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgecnn.data.folders import image_folder
from edgecnn.data.mnist5k import mnist5k
from edgecnn.data.splits import DataSet
from edgecnn.data.terrain import terrain
from edgecnn_runtime.errors import InputError, unknown_name

NAMED: dict[str, Callable[[int], DataSet]] = {"terrain": terrain, "mnist5k": mnist5k}


def load_data(name: str, seed: int = 0) -> DataSet:
    """Load a data set by its name, or an image folder by its path.

    Args:
        seed: fixes the split; the same seed gives the same split on every machine.

    Raises:
        InputError: neither a name nor a folder, or a folder that cannot be trained on.
    """
    if name in NAMED:
        return NAMED[name](seed)
    path = Path(name)
    if path.is_dir():
        return image_folder(path, seed)
    if path.exists():
        raise InputError(f"{name} is a file; expected a folder with a folder of images per class")
    if "/" in name or "\\" in name:
        raise InputError(
            f"no folder {name}; expected a folder per class, or one of: {', '.join(NAMED)}"
        )
    raise unknown_name("data set", name, NAMED, ", or a folder of images per class")
