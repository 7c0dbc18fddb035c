"""Image folders: a folder per class, with or without train/ and val/."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.data.splits import DataSet
from edgecnn_runtime.camera.image import check_image, list_images, read_image
from edgecnn_runtime.errors import InputError, SourceError

Frame = NDArray[np.uint8]

HELD_OUT = 0.2  # of each class, where there is no val/


@dataclass(frozen=True)
class Files:
    """Image files; read when asked for."""

    paths: tuple[Path, ...]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        return read_image(self.paths[index])


Classes = dict[str, list[Path]]  # label -> its images, both in order


def image_folder(path: Path, seed: int = 0, *, skip_broken: bool = False) -> DataSet:
    """Read the tree of an image folder and check every file's beginning and end.

    With train/ and val/ (or test/) inside, these are the splits; otherwise a fifth of each class
    is held out by the seed.

    Args:
        skip_broken: leave broken files out and list them in `broken`.

    Raises:
        InputError: no classes, one class, a class without images, an unreadable image, or a label
            in val/ that train/ does not have.
    """
    train_folder = path / "train"
    if train_folder.is_dir():
        val_folder = next((p for p in (path / "val", path / "test") if p.is_dir()), None)
        if val_folder is None:
            raise InputError(f"{path} has train/ and no val/; expected both, or neither")
        classes = _classes(train_folder)
        held = _classes(val_folder, known=tuple(classes))
        broken = _check([classes, held], skip_broken)
        train, val = _files(classes, tuple(classes)), _files(held, tuple(classes))
    else:
        classes = _classes(path)
        broken = _check([classes], skip_broken)
        train, val = _split(classes, seed)
    return DataSet(
        name=str(path),
        labels=tuple(classes),
        train=train,
        val=val,
        recipe="default",
        record={
            "train": [str(p.relative_to(path)) for p in train.paths],
            "val": [str(p.relative_to(path)) for p in val.paths],
            **({"broken": broken} if broken else {}),
        },
        shorter=1 / 0.875,
        broken=broken,
    )


def _classes(folder: Path, known: Sequence[str] = ()) -> Classes:
    found = {p.name: list_images(p) for p in sorted(folder.iterdir()) if _is_class(p)}
    if not found:
        raise InputError(f"{folder} holds no classes; expected one folder of images per class")
    if len(found) == 1 and not known:
        raise InputError(
            f"{folder} holds one class, {next(iter(found))!r}; expected at least two folders of"
            " images"
        )
    empty = [name for name, images in found.items() if not images]
    if empty:
        raise InputError(f"{folder / empty[0]} holds no images; add some or remove the folder")
    strange = sorted(found.keys() - set(known)) if known else []
    if strange:
        more = f" and {len(known) - 10} more" if len(known) > 10 else ""
        raise InputError(
            f"{folder} has the label {strange[0]!r}, which train/ has not; expected:"
            f" {', '.join(known[:10])}{more}"
        )
    return found


def _is_class(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith((".", "__"))


def _files(classes: Classes, labels: tuple[str, ...]) -> Files:
    number = {label: i for i, label in enumerate(labels)}
    paths = [p for images in classes.values() for p in images]
    targets = [number[name] for name, images in classes.items() for _ in images]
    return Files(tuple(paths), np.array(targets, dtype=np.int64))


def _split(classes: Classes, seed: int) -> tuple[Files, Files]:
    rng = np.random.default_rng(seed)
    train: Classes = {}
    val: Classes = {}
    for name, images in classes.items():
        if len(images) < 2:
            raise InputError(
                f"class {name!r} has one image; expected at least two, one to train and one to"
                " hold out"
            )
        count = max(1, round(HELD_OUT * len(images)))
        held = set(rng.permutation(len(images))[:count].tolist())
        val[name] = [p for i, p in enumerate(images) if i in held]
        train[name] = [p for i, p in enumerate(images) if i not in held]
    labels = tuple(classes)
    return _files(train, labels), _files(val, labels)


def _check(parts: Iterable[Classes], skip_broken: bool) -> tuple[str, ...]:
    """Read every file once before hours of training depend on it.

    Returns:
        What is wrong with each broken file; these are taken out of their classes.

    Raises:
        SourceError: the first broken file, unless they are to be skipped.
        InputError: a class of which nothing is left.
    """
    broken: list[str] = []
    with ThreadPoolExecutor() as pool:
        for classes in parts:
            paths = [p for images in classes.values() for p in images]
            said = dict(zip(paths, pool.map(_wrong_with, paths), strict=True))
            bad = {path: why for path, why in said.items() if why}
            if bad and not skip_broken:
                more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
                raise SourceError(
                    f"{next(iter(bad.values()))}{more}, or leave such files out: --skip-broken"
                )
            for name, images in classes.items():
                classes[name] = [p for p in images if p not in bad]
                if not classes[name]:
                    raise InputError(f"class {name!r} has broken images alone: {bad[images[0]]}")
            broken += bad.values()
    return tuple(broken)


def _wrong_with(path: Path) -> str:
    try:
        # These have no end mark: only the decoder can tell whether they are whole.
        unmarked = path.suffix.lower() in (".tif", ".tiff", ".pgm", ".ppm")
        read_image(path) if unmarked else check_image(path)
    except SourceError as error:
        return str(error)
    return ""
