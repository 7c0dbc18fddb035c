"""Images as people's folders hold them: cut short, CMYK, 16-bit, turned, tiny, or very many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecnn.commands.train import describe
from edgecnn.data import colour_crops, load_data
from edgecnn.data.balance import class_counts
from edgecnn.data.folders import Files
from edgecnn.training.fit import fit
from edgecnn.training.inputs import TrainingSet, ValidationSet
from edgecnn.training.recipe import Augment, load_recipe
from edgecnn.training.run import read_run
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.cli import run as run_cli
from edgecnn_runtime.errors import InputError, SourceError

Frame = NDArray[np.uint8]
SMALL = ("--model", "mobilenet_v1", "--width", "0.25", "--resolution", "32", "--epochs", "1")
ORIENTATION = 0x0112  # in EXIF


@pytest.fixture(scope="module")
def photograph() -> Frame:
    """uint8 (H, W, 3) RGB, not square."""
    return np.ascontiguousarray(colour_crops(1)[0][:90, :120, ::-1])


def read(path: Path) -> Frame:
    return Files((path,), np.array([0])).frame(0)


def difference(frame: Frame, rgb: NDArray[np.generic]) -> float:
    """Mean of |frame - rgb| in grey levels, the frame in BGR."""
    return float(np.abs(frame[:, :, ::-1].astype(int) - rgb.astype(int)).mean())


def test_a_cmyk_photograph_has_its_colours(photograph: Frame, tmp_path: Path) -> None:
    Image.fromarray(photograph).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    frame = read(tmp_path / "a.jpg")
    assert frame.shape == photograph.shape
    assert difference(frame, photograph) < 8
    assert difference(frame, 255 - photograph) > 30


def test_16_bits_become_8_with_the_same_brightness(photograph: Frame, tmp_path: Path) -> None:
    for name in ("a.png", "a.tiff"):
        deep = photograph[:, :, ::-1].astype(np.uint16) * 257
        cv2.imwrite(str(tmp_path / name), deep)
        assert difference(read(tmp_path / name), photograph) < 1
    grey = photograph[:, :, 1].astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    assert difference(read(tmp_path / "grey.png"), np.repeat(photograph[:, :, 1:2], 3, 2)) < 1


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (3, lambda a: np.rot90(a, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_a_turned_photograph_is_upright_in_training_and_on_the_device(
    orientation: int,
    upright: Callable[[Frame], Frame],
    photograph: Frame,
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = tmp_path / "turned.jpg"
    Image.fromarray(photograph).save(file, quality=95, exif=exif)
    in_training = read(file)
    assert in_training.shape[:2] == upright(photograph).shape[:2]
    assert difference(in_training, upright(photograph)) < 8

    source = open_source(str(file))
    captured = source.read()
    assert captured is not None
    assert np.array_equal(captured.frame, in_training)


@pytest.mark.parametrize("recipe", ["default", "resnet", "googlenet", "modern"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_an_image_of_one_pixel_fills_the_input(
    shape: tuple[int, int], recipe: str, trained_run: Path
) -> None:
    frames = Held([np.full((*shape, 3), (10, 120, 200), np.uint8)])
    spec = read_run(trained_run).input
    for image, _ in (
        TrainingSet(frames, spec, load_recipe(recipe).augment, seed=0)[0, 0],
        ValidationSet(frames, spec)[0],
    ):
        assert image.shape == (spec.height, spec.width, 3)
    plain = TrainingSet(frames, spec, Augment(crop_scale=(0.3, 1.0)), seed=0)[0, 0][0]
    assert np.array_equal(np.unique(plain.reshape(-1, 3), axis=0), [[200, 120, 10]])


class Held:
    def __init__(self, frames: list[Frame]) -> None:
        self.frames, self.targets = frames, np.zeros(len(frames), np.int64)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        return self.frames[index]


def test_broken_files_are_named_or_left_out(
    photographs_folder: Path,
    refused: Callable[..., str],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    cut = photographs_folder / "red" / "3.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    (photographs_folder / "blue" / "5.jpg").write_bytes(b"")
    out = tmp_path / "run"
    line = refused("train", photographs_folder, *SMALL, "--out", out)
    assert "5.jpg is empty" in line
    assert "(and 1 more), or leave such files out: --skip-broken" in line
    assert not out.exists()

    words = ["train", str(photographs_folder), *SMALL, "--out", str(out), "--skip-broken"]
    assert run_cli(words) == 0
    said = capfd.readouterr().out
    assert "left out: " in said
    assert "3.jpg is truncated" in said
    assert "5.jpg is empty" in said
    assert "22 images" not in said
    assert "18 images to train and 4 held out" in said


def test_a_tiff_is_decoded_to_find_that_it_is_cut_short(
    photographs_folder: Path, photograph: Frame
) -> None:
    file = photographs_folder / "red" / "99.tiff"
    cv2.imwrite(str(file), photograph)
    assert len(load_data(str(photographs_folder)).train) == 20
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"99\.tiff"):
        load_data(str(photographs_folder))


def test_a_class_whose_images_are_all_broken_is_refused(photographs_folder: Path) -> None:
    for file in (photographs_folder / "red").iterdir():
        file.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="class 'red' has broken images alone"):
        load_data(str(photographs_folder), skip_broken=True)


def test_a_file_that_breaks_while_training_is_one_line(
    photographs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecnn.training.loading.cores", lambda: 2)  # workers on any machine
    data = load_data(str(photographs_folder))
    run = describe(data, "mobilenet_v1", width=0.25, resolution="32", epochs=1)
    (photographs_folder / "red" / "2.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SourceError) as error:
        fit(run, data, tmp_path / "run", progress=False)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(photographs_folder / "red" / "2.jpg"))


@pytest.fixture
def ten_thousand(tmp_path: Path) -> Path:
    """A folder of 10,000 classes, each of two images of 8x8; all are links to one, to be fast."""
    images, root = tmp_path / "images", tmp_path / "classes"
    images.mkdir()
    root.mkdir()
    for i, crop in enumerate(colour_crops(2)):
        cv2.imwrite(str(images / f"{i}.png"), crop[:8, :8])
    for number in range(10_000):
        (root / f"c{number:05}").symlink_to(images)
    return root


def test_ten_thousand_classes_are_read_counted_and_trained(
    ten_thousand: Path, tmp_path: Path
) -> None:
    data = load_data(str(ten_thousand))
    assert (len(data.labels), len(data.train), len(data.val)) == (10_000, 10_000, 10_000)
    assert data.train.targets.tolist() == list(range(10_000))
    assert set(class_counts(data)[9_999][1:]) == {1}
    some = Held([data.train.frame(i) for i in range(0, 10_000, 200)])
    some.targets = np.arange(0, 10_000, 200)
    few = replace(data, train=some, val=some, in_memory=True)
    run = describe(few, "mobilenet_v1", width=0.25, resolution="32", recipe="modern", epochs=1)
    result = fit(run, few, tmp_path / "run", progress=False)
    assert 0 <= result.top1 <= result.top5 <= 1
