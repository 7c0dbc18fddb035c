"""Data sets give frames as a camera would, and hold out what they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import ReadFrames, Split, some_frames
from edgecnn.data.terrain import CROP, TRAIN_COLUMNS, VAL_COLUMNS, pan
from edgecnn_runtime.errors import InputError


@pytest.mark.parametrize(("name", "train", "val"), [("terrain", 900, 300), ("mnist5k", 4000, 1000)])
def test_a_named_data_set_has_its_splits(name: str, train: int, val: int) -> None:
    data = load_data(name)
    assert (len(data.train), len(data.val)) == (train, val)
    for split in (data.train, data.val):
        counts = np.bincount(split.targets)
        assert len(counts) == len(data.labels)
        assert counts.min() == counts.max()
        frame = split.frame(0)
        assert frame.dtype == np.uint8
        assert frame.ndim == 3
        assert frame.shape[2] == 3


def test_terrain_trains_and_validates_on_disjoint_columns() -> None:
    data = load_data("terrain")
    assert TRAIN_COLUMNS[1] <= VAL_COLUMNS[0]
    rng = np.random.default_rng(0)
    photo_left = {int(c["left"]) for c in data.record["val_crops"]}
    assert min(photo_left) >= VAL_COLUMNS[0]
    assert max(photo_left) + CROP <= VAL_COLUMNS[1]
    first, again = data.train.frame(0, rng), data.train.frame(0, rng)
    assert first.shape == again.shape == (CROP, CROP, 3)
    assert not np.array_equal(first, again)


def test_a_split_is_fixed_by_its_seed() -> None:
    one, same, other = (load_data("mnist5k", seed).record for seed in (3, 3, 4))
    assert one == same
    assert one != other


def test_mnist5k_holds_out_what_it_does_not_train_on() -> None:
    data = load_data("mnist5k")
    seen = {data.train.frame(i).tobytes() for i in range(len(data.train))}
    held = [data.val.frame(i).tobytes() for i in range(len(data.val))]
    assert sum(picture in seen for picture in held) == 0


def test_the_clip_shows_each_unseen_strip() -> None:
    frames = list(pan(30))
    assert [label for _, label in frames[::10]] == ["brick", "grass", "gravel"]
    assert {frame.shape for frame, _ in frames} == {(96, 128, 3)}


def test_colour_crops_have_colour_and_odd_sizes() -> None:
    crops = colour_crops()
    assert len(crops) == 64
    assert all(np.abs(c[..., 0].astype(int) - c[..., 2]).mean() > 1 for c in crops)
    assert len({c.shape for c in crops}) > 32


def test_a_folder_is_split_by_class_and_seed(photographs_folder: Path) -> None:
    data = load_data(str(photographs_folder))
    assert data.labels == ("blue", "red")
    assert (len(data.train), len(data.val)) == (20, 4)
    assert np.bincount(data.val.targets).tolist() == [2, 2]
    assert not set(data.record["train"]) & set(data.record["val"])
    for i, frame in enumerate(some_frames(data.val)):
        blue, _, red = frame.reshape(-1, 3).mean(0)
        assert (blue > red) == (data.val.targets[i] == 0)


def test_a_folder_with_train_and_val_keeps_its_own_splits(
    photographs_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "split"
    for part, numbers in (("train", range(8)), ("val", range(8, 12))):
        for label in ("blue", "red"):
            (root / part / label).mkdir(parents=True)
            for i in numbers:
                source = photographs_folder / label / f"{i}.jpg"
                (root / part / label / source.name).write_bytes(source.read_bytes())
    data = load_data(str(root))
    assert (len(data.train), len(data.val)) == (16, 8)
    (root / "val" / "green").mkdir()
    (root / "val" / "green" / "0.jpg").write_bytes((root / "val/red/8.jpg").read_bytes())
    with pytest.raises(InputError, match="the label 'green', which train/ has not"):
        load_data(str(root))


def test_frames_that_are_read_when_looked_at_are_those_that_are_read_at_once() -> None:
    split = Counted(load_data("terrain").val)
    crops = colour_crops(3)
    frames = ReadFrames(split, 7, crops)
    assert len(frames) == 10
    assert split.read == 0
    expected = [*some_frames(split.whole, 7), *crops]
    assert all(np.array_equal(a, b) for a, b in zip(frames, expected, strict=True))
    assert split.read == 7
    assert np.array_equal(frames[-1], crops[-1])
    assert [f.shape for f in frames[5:9]] == [f.shape for f in expected[5:9]]
    with pytest.raises(IndexError):
        frames[10]


@dataclass
class Counted:
    """A split that counts how often it is read."""

    whole: Split
    read: int = 0

    def __len__(self) -> int:
        return len(self.whole)

    def frame(self, index: int) -> NDArray[np.uint8]:
        self.read += 1
        return self.whole.frame(index)
