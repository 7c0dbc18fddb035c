"""The named data sets, read from small files in the format of each.

torchvision verifies checksums before it reads; here they are those of the small files, so that its
readers and their check run as they are.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torchvision.datasets as readers
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision.datasets import imagenet as imagenet_reader

from edgecnn.commands.train import describe
from edgecnn.data import DataSet, colour_crops, load_data
from edgecnn.data.published import PUBLISHED
from edgecnn.training.fit import fit
from edgecnn_runtime.cli import run as run_cli
from edgecnn_runtime.errors import InputError

Pictures = NDArray[np.uint8]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def photographs(count: int, side: int) -> Pictures:
    """(N, side, side, 3) RGB, each with more red than blue in its first half, and then less."""
    crops = np.stack([crop[:side, :side, ::-1] for crop in colour_crops(count)]).copy()
    crops[: count // 2, :, :, 0] = 250
    crops[count // 2 :, :, :, 2] = 250
    return crops


def write_mnist(folder: Path, _: pytest.MonkeyPatch) -> Pictures:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = load_data("mnist5k").val
    images = np.stack([digits.frame(i)[:, :, 0] for i in range(0, 1000, 50)])
    targets = digits.targets[::50].astype(np.uint8)
    for part, chosen in (("train", slice(0, 20, 2)), ("t10k", slice(1, 20, 2))):
        some = images[chosen]
        head = struct.pack(">IIII", 0x803, *some.shape)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + some.tobytes())
        head = struct.pack(">II", 0x801, len(some))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + targets[chosen].tobytes())
    return images[::2]


def write_cifar10(folder: Path, patch: pytest.MonkeyPatch) -> Pictures:
    base = folder / "cifar-10-batches-py"
    base.mkdir()
    images = photographs(12, 32)
    planes = images.transpose(0, 3, 1, 2).reshape(12, -1)  # red, green, blue after one another
    names = [f"data_batch_{i}" for i in range(1, 6)]
    for i, name in enumerate([*names, "test_batch"]):
        batch = {"data": planes[2 * i : 2 * i + 2], "labels": [i % 10, (i + 1) % 10]}
        (base / name).write_bytes(pickle.dumps(batch))
    labels = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse"]
    (base / "batches.meta").write_bytes(pickle.dumps({"label_names": [*labels, "ship", "truck"]}))
    patch.setattr(readers.CIFAR10, "train_list", [[n, md5(base / n)] for n in names])
    patch.setattr(readers.CIFAR10, "test_list", [["test_batch", md5(base / "test_batch")]])
    meta = {**readers.CIFAR10.meta, "md5": md5(base / "batches.meta")}
    patch.setattr(readers.CIFAR10, "meta", meta)
    return images[:10]


def write_cifar100(folder: Path, patch: pytest.MonkeyPatch) -> Pictures:
    base = folder / "cifar-100-python"
    base.mkdir()
    images = photographs(12, 32)
    planes = images.transpose(0, 3, 1, 2).reshape(12, -1)
    for name, some in (("train", slice(0, 8)), ("test", slice(8, 12))):
        fine = list(range(100))[some]
        batch = {"data": planes[some], "fine_labels": fine, "coarse_labels": [f // 5 for f in fine]}
        (base / name).write_bytes(pickle.dumps(batch))
        patch.setattr(readers.CIFAR100, f"{name}_list", [[name, md5(base / name)]])
    meta = {
        "fine_label_names": [f"fine {i}" for i in range(100)],
        "coarse_label_names": [f"coarse {i}" for i in range(20)],
    }
    (base / "meta").write_bytes(pickle.dumps(meta))
    patch.setattr(readers.CIFAR100, "meta", {**readers.CIFAR100.meta, "md5": md5(base / "meta")})
    return images[:8]


def write_stl10(folder: Path, patch: pytest.MonkeyPatch) -> Pictures:
    base = folder / "stl10_binary"
    base.mkdir()
    images = photographs(14, 96)
    for part, some in (("train", slice(0, 10)), ("test", slice(10, 14))):
        # Planes of columns: the format is Matlab's.
        (base / f"{part}_X.bin").write_bytes(images[some].transpose(0, 3, 2, 1).tobytes())
        targets = np.arange(len(images[some]), dtype=np.uint8) % 10 + 1
        (base / f"{part}_y.bin").write_bytes(targets.tobytes())
        files = [[f"{part}_{kind}.bin", md5(base / f"{part}_{kind}.bin")] for kind in "Xy"]
        unlabelled = [["unlabeled_X.bin", "0" * 32]] if part == "train" else []
        patch.setattr(readers.STL10, f"{part}_list", files + unlabelled)
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (base / "class_names.txt").write_text("\n".join(names) + "\n")
    return images[:10]


def write_svhn(folder: Path, patch: pytest.MonkeyPatch) -> Pictures:
    images = photographs(16, 32)
    sums = {}
    for part, some in (
        ("train", slice(0, 6)),
        ("test", slice(6, 10)),
        ("extra", slice(10, 16)),
    ):
        file = folder / f"{part}_32x32.mat"
        labels = (np.arange(len(images[some])) % 10 + 5)[:, None]  # up to 10, which is the digit 0
        savemat(file, {"X": images[some].transpose(1, 2, 3, 0), "y": labels.astype(np.uint8)})
        sums[part] = ["http://localhost/nowhere", file.name, md5(file)]
    patch.setattr(readers.SVHN, "split_list", sums)
    return images[:6]


WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], Pictures]] = {
    "mnist": write_mnist,
    "cifar10": write_cifar10,
    "cifar100": write_cifar100,
    "cifar100-coarse": write_cifar100,
    "stl10": write_stl10,
    "svhn": write_svhn,
    "svhn-extra": write_svhn,
}


@pytest.fixture
def read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[DataSet, Pictures]]:
    """A named data set from small files, and the training pictures that were written to them."""

    def made(name: str) -> tuple[DataSet, Pictures]:
        images = WRITERS[name](tmp_path, monkeypatch)
        return load_data(name, data_dir=tmp_path), images

    return made


@pytest.mark.parametrize("name", PUBLISHED)
def test_frames_are_the_pictures_in_bgr(
    name: str, read: Callable[[str], tuple[DataSet, Pictures]]
) -> None:
    data, images = read(name)
    for i, image in enumerate(images):
        frame = data.train.frame(i)
        expected = np.repeat(image[:, :, None], 3, 2) if image.ndim == 2 else image[:, :, ::-1]
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert np.array_equal(frame, expected)
    for split in (data.train, data.val):
        assert split.targets.dtype == np.int64
        assert split.targets.max() < len(data.labels)
        assert len(split) == len(split.targets)


@pytest.mark.parametrize(
    ("name", "train", "val", "classes"),
    [
        ("mnist", 10, 10, 10),
        ("cifar10", 10, 2, 10),
        ("cifar100", 8, 4, 100),
        ("cifar100-coarse", 8, 4, 20),
        ("stl10", 10, 4, 10),
        ("svhn", 6, 4, 10),
        ("svhn-extra", 12, 4, 10),
    ],
)
def test_the_splits_are_the_authors(
    name: str,
    train: int,
    val: int,
    classes: int,
    read: Callable[[str], tuple[DataSet, Pictures]],
) -> None:
    data, _ = read(name)
    assert (len(data.train), len(data.val), len(data.labels)) == (train, val, classes)


def test_labels_are_what_the_files_say(read: Callable[[str], tuple[DataSet, Pictures]]) -> None:
    data, _ = read("cifar100")
    assert data.train.targets.tolist() == list(range(8))
    assert data.labels[7] == "fine 7"


def test_coarse_labels_are_the_superclasses(
    read: Callable[[str], tuple[DataSet, Pictures]],
) -> None:
    data, _ = read("cifar100-coarse")
    assert data.train.targets.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert data.val.targets.tolist() == [1, 1, 2, 2]
    assert data.labels[2] == "coarse 2"


def test_the_house_number_10_is_the_digit_0(
    read: Callable[[str], tuple[DataSet, Pictures]],
) -> None:
    data, _ = read("svhn-extra")
    assert data.train.targets.tolist() == [5, 6, 7, 8, 9, 0] * 2
    assert data.labels[0] == "0"


def test_mnist_trains_as_the_digits_that_are_carried_along(
    read: Callable[[str], tuple[DataSet, Pictures]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, _ = read("mnist")
    run, carried = describe(data, "lenet5", epochs=1), describe(load_data("mnist5k"), "lenet5")
    assert run.input == carried.input
    result = fit(run, data, tmp_path / "run", progress=False)
    assert 0 <= result.top1 <= 1
    report = tmp_path / "found.json"
    line = ["evaluate", str(tmp_path / "run"), "mnist", "--data-dir", str(tmp_path)]
    assert run_cli([*line, "--json", str(report)]) == 0
    assert json.loads(report.read_text())["top1"] == result.top1
    drawn = ["visualize", str(tmp_path / "run"), "--what", "features,deconv"]
    assert run_cli([*drawn, "--data-dir", str(tmp_path)]) == 0
    monkeypatch.setenv("EDGECNN_DATA", str(tmp_path))
    bundle = str(tmp_path / "digits.bundle")
    assert run_cli(["export", str(tmp_path / "run"), "--out", bundle, "--precision", "int8"]) == 0
    assert run_cli(["verify", bundle, "mnist"]) == 0
    assert run_cli(drawn) == 0


def test_the_folder_can_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_svhn(tmp_path, monkeypatch)
    monkeypatch.setenv("EDGECNN_DATA", str(tmp_path))
    assert len(load_data("svhn").train) == 6


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", [*PUBLISHED, "imagenet"])
def test_without_files_and_network_it_says_what_goes_where(
    name: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    folder, out = tmp_path / "data", tmp_path / "run"
    line = refused(*("train", name, "--model", "lenet5_modern", "--out", out, "--data-dir", folder))
    assert str(folder) in line
    if name == "imagenet":
        assert "ILSVRC2012_devkit_t12.tar.gz" in line
    else:
        assert "cannot be downloaded (Network is unreachable)" in line
        assert PUBLISHED[name].files in line
    assert not out.exists()
    assert not [p for p in folder.rglob("*") if p.is_file()]


@pytest.mark.usefixtures("no_network")
def test_an_altered_file_is_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path, monkeypatch)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(InputError, match="cifar10 is not in"):
        load_data("cifar10", data_dir=tmp_path)


def test_a_damaged_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, monkeypatch)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"mnist in .* cannot be read") as error:
        load_data("mnist", data_dir=tmp_path)
    assert "\n" not in str(error.value)


def write_imagenet(folder: Path, patch: pytest.MonkeyPatch, *, unpacked: bool) -> None:
    """The devkit's archive, train/ with a folder per WordNet id, and val/ as one archive or so."""
    kit = folder / "kit" / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    synsets = np.array(
        [
            (1, "n02012849", "crane", "a bird", 0, [], 0, 2),
            (2, "n03126707", "crane", "a machine", 0, [], 0, 2),
            (3, "n01440764", "tench, Tinca tinca", "a fish", 0, [], 0, 2),
            (4, "n00000001", "animal", "not a leaf", 2, [1, 3], 2, 0),
        ],
        dtype=[(n, "O") for n in ("id", "wnid", "words", "gloss", "num", "children", "h", "count")],
    )
    savemat(kit / "meta.mat", {"synsets": synsets[:, None]})
    truth = [3, 1, 2, 3]
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, truth)) + "\n")
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(kit.parent, "ILSVRC2012_devkit_t12")
    crops = colour_crops(10)
    for i, wnid in enumerate(["n02012849", "n03126707", "n01440764"] * 2):
        (folder / "train" / wnid).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / "train" / wnid / f"{wnid}_{i}.JPEG"), crops[i])
    staged = folder / "staged"
    staged.mkdir()
    for i in range(4):
        cv2.imwrite(str(staged / f"ILSVRC2012_val_0000000{i + 1}.JPEG"), crops[6 + i])
    val = folder / "ILSVRC2012_img_val.tar"
    with tarfile.open(val, "w") as archive:
        for file in sorted(staged.iterdir()):
            archive.add(file, file.name)
    meta = {
        "devkit": ("ILSVRC2012_devkit_t12.tar.gz", md5(folder / "ILSVRC2012_devkit_t12.tar.gz")),
        "val": (val.name, md5(val)),
        "train": imagenet_reader.ARCHIVE_META["train"],
    }
    patch.setattr(imagenet_reader, "ARCHIVE_META", meta)
    if unpacked:
        load_data("imagenet", data_dir=folder)
        val.unlink()


@pytest.mark.parametrize("unpacked", [False, True])
def test_imagenet_is_read_from_its_devkit_and_folders(
    unpacked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_imagenet(tmp_path, monkeypatch, unpacked=unpacked)
    data = load_data("imagenet", data_dir=tmp_path)
    assert data.labels == ("tench", "crane (n02012849)", "crane (n03126707)")
    assert (len(data.train), len(data.val)) == (6, 4)
    # The ground truth is by the devkit's numbers: 3 is the tench, 1 the bird, 2 the machine.
    files = {p.name: t for p, t in zip(data.val.paths, data.val.targets, strict=True)}
    assert [files[f"ILSVRC2012_val_0000000{i}.JPEG"] for i in (1, 2, 3, 4)] == [0, 1, 2, 0]
    frame = data.val.frame(0)
    assert frame.shape[2] == 3
    assert np.abs(frame.astype(int) - colour_crops(10)[6].astype(int)).mean() < 5
    assert data.recipe == "resnet"


def test_imagenet_may_lie_in_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imagenet").mkdir()
    write_imagenet(tmp_path / "imagenet", monkeypatch, unpacked=False)
    assert len(load_data("imagenet", data_dir=tmp_path).train) == 6


@pytest.mark.usefixtures("no_network")
def test_a_wrong_recipe_is_said_before_anything_is_downloaded(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    words = ("--model", "lenet5_modern", "--recipe", "alexnt", "--data-dir", tmp_path)
    line = refused("train", "cifar10", *words, "--out", tmp_path / "run")
    assert "did you mean 'alexnet'" in line
