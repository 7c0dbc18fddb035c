"""Decoded copies of training images change how fast they are read, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgecnn.commands.train import describe
from edgecnn.data import colour_crops, load_data
from edgecnn.data.resized import Resized, fill, resized
from edgecnn.training.fit import fit
from edgecnn.training.loading import loaders, settings
from edgecnn.training.run import read_run
from edgecnn.training.weights import load_tensors
from edgecnn_runtime.camera.image import read_image
from edgecnn_runtime.cli import run as run_cli

SMALL = ("--model", "mobilenet_v1", "--width", "0.25", "--resolution", "32", "--epochs", "1")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgecnn" / "decoded"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of six colour photographs of about 200 pixels."""
    for i, crop in enumerate(colour_crops(12)):
        place = tmp_path / "photos" / ("even" if i % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i}.jpg"), crop)
    return tmp_path / "photos"


def view(folder: Path, side: int = 50) -> Resized:
    return resized(load_data(str(folder)).train, side, "area+linear")


def test_a_copy_has_the_shorter_side_asked_for_and_the_pixels_of_the_file(
    folder: Path, cache: Path
) -> None:
    split = view(folder)
    without = [split.frame(i) for i in range(len(split))]
    filled = fill(split)
    assert (filled.images, filled.made) == (len(split), len(split))
    files = list(cache.glob("*/*.npy"))
    assert len(files) == len(split)
    assert filled.bytes == sum(f.stat().st_size for f in files)
    for i, frame in enumerate(without):
        assert np.array_equal(split.frame(i), frame)  # the same with the copy as without
        whole = read_image(split.files.paths[i])
        assert min(frame.shape[:2]) == 50
        assert frame.shape[0] / frame.shape[1] == pytest.approx(
            whole.shape[0] / whole.shape[1], rel=0.02
        )
        small = cv2.resize(whole, frame.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - frame.astype(int)).mean() < 10


def test_a_second_time_nothing_is_made(folder: Path) -> None:
    fill(view(folder))
    assert fill(view(folder)).made == 0


def test_a_changed_file_another_side_and_another_filter_are_other_copies(folder: Path) -> None:
    split = view(folder)
    fill(split)
    file = split.files.paths[0]
    before = split.frame(0)
    cv2.imwrite(str(file), 255 - read_image(file))
    os.utime(file, (1, 1))
    assert np.abs(split.frame(0).astype(int) - before.astype(int)).mean() > 20
    assert split.place(1) != view(folder, 60).place(1)
    other = resized(load_data(str(folder)).train, 50, "bilinear-antialias")
    assert split.place(1) != other.place(1)


def test_small_images_stay_as_they_are(folder: Path) -> None:
    split = view(folder, 5000)
    assert np.array_equal(split.frame(0), read_image(split.files.paths[0]))


def test_the_limit_is_kept_and_older_copies_make_room(folder: Path, cache: Path) -> None:
    old = view(folder, 40)
    fill(old)
    split = view(folder, 50)
    room = 3.5 * split.make(0).nbytes / 1e9
    filled = fill(split, room)
    assert 0 < filled.images < len(split)
    assert filled.bytes <= room * 1e9
    files = list(cache.glob("*/*.npy"))
    assert sum(f.stat().st_size for f in files) == filled.bytes
    assert not any(old.place(i).is_file() for i in range(len(old)))
    assert [split.frame(i).shape for i in range(len(split))]  # the others are read from the files


def test_a_damaged_copy_is_made_again(folder: Path) -> None:
    split = view(folder)
    fill(split)
    expected = split.frame(0)
    for damage in (b"", b"junk", split.place(0).read_bytes()[:-100]):
        split.place(0).write_bytes(damage)
        assert np.array_equal(split.frame(0), expected)


def test_training_with_copies_ends_the_same_whether_they_are_there_or_not(
    folder: Path, tmp_path: Path, cache: Path
) -> None:
    data = load_data(str(folder))
    run = describe(data, "mobilenet_v1", width=0.25, resolution="32", epochs=1, cache=True)
    assert run.cache == 46  # 1.25 times 37, to which the shorter side is scaled before the crop
    fit(run, data, tmp_path / "without", progress=False)
    assert not list(cache.glob("*/*.npy"))
    fill(resized(data.train, run.cache, run.input.interpolation))
    fit(run, data, tmp_path / "with", progress=False)
    a, b = (load_tensors(tmp_path / part / "last.safetensors") for part in ("with", "without"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_validation_reads_the_files_as_the_device_does(folder: Path) -> None:
    data = load_data(str(folder))
    run = describe(data, "mobilenet_v1", width=0.25, resolution="32", epochs=1, cache=True)
    train, val = loaders(run, data)
    assert isinstance(train.dataset.split, Resized)  # type: ignore[attr-defined]
    assert val.dataset.split is data.val  # type: ignore[attr-defined]


def test_the_command_says_what_the_cache_takes(
    folder: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run_cli(["train", str(folder), *SMALL, "--out", str(out), "--cache"]) == 0
    said = capsys.readouterr().out
    assert "decoded copies of 10 images (10 new) with a shorter side of" in said
    assert str(cache) in said
    assert read_run(out).cache is not None


def test_what_lies_in_memory_needs_no_cache(refused: Callable[..., str], tmp_path: Path) -> None:
    line = refused("train", "terrain", *SMALL, "--out", tmp_path / "run", "--cache")
    assert "lies in memory already" in line


@pytest.mark.parametrize(
    ("cores", "gpu", "decodes", "workers", "prefetch"),
    [
        (2, False, True, 2, 2),
        (64, False, True, 8, 2),
        (64, True, True, 16, 4),
        (8, True, False, 0, None),
    ],
)
def test_loaders_suit_the_machine(
    cores: int, gpu: bool, decodes: bool, workers: int, prefetch: int | None
) -> None:
    found = settings(cores, gpu=gpu, decodes=decodes)
    assert (found.num_workers, found.prefetch_factor) == (workers, prefetch)
    assert found.persistent_workers == (workers > 0)
    assert found.pin_memory == gpu
