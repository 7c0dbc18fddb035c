"""Top-1 of parts of the images: by how they look, or by what a file says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import colour_crops
from edgecnn.evaluation.slices import Looks, check_slices, slices
from edgecnn_runtime.errors import InputError

FILES = tuple(f"{label}/{i}.jpg" for label in ("red", "blue") for i in range(50))


def _looks(frames: list[np.ndarray]) -> Looks:
    looks = Looks()
    assert len(list(looks.watch(frames))) == len(frames)
    return looks


def test_dark_pictures_that_are_answered_wrongly_stand_out() -> None:
    frames = colour_crops(90)
    dark = np.argsort([f.mean() for f in frames])[:30]
    right = np.ones(90, bool)
    right[dark[:20]] = False
    found = slices(["brightness"], _looks(frames), (), right)
    assert [part.name.split(":")[0] for part in found] == ["dark", "middling", "bright"]
    assert [part.worse for part in found] == [True, False, False]
    assert sum(part.images for part in found) == 90
    assert found[0].top1 == pytest.approx(1 / 3, abs=0.1)
    low, high = found[0].interval
    assert low < found[0].top1 < high < right.mean()


def test_pictures_of_one_size_are_one_slice() -> None:
    frames = [f[:90, :90] for f in colour_crops(12)]
    (found,) = slices(["size"], _looks(frames), (), np.ones(12, bool))
    assert (found.name, found.images, found.top1) == ("90 pixels", 12, 1)
    frames[0] = frames[0][:40]
    small, rest = slices(["size"], _looks(frames), (), np.ones(12, bool))
    assert [(part.name, part.images) for part in (small, rest)] == [
        ("40 pixels", 1),
        ("90 pixels", 11),
    ]


def test_a_file_says_what_images_have_in_common(tmp_path: Path) -> None:
    table = tmp_path / "cameras.csv"
    lines = ["file,camera,weather"]
    lines += [f"{name},{'yard' if i % 2 else 'gate'},dry" for i, name in enumerate(FILES[:90])]
    table.write_text("\n".join(lines))
    right = np.array([i % 2 == 0 for i in range(100)])
    found = slices([str(table)], Looks(), FILES, right)
    told = {(part.attribute, part.name): (part.images, part.top1) for part in found}
    assert told == {
        ("camera", "gate"): (45, 1.0),
        ("camera", "yard"): (45, 0.0),
        ("camera", "not in the file"): (10, 0.5),
        ("weather", "dry"): (90, 0.5),
        ("weather", "not in the file"): (10, 0.5),
    }
    assert [part.name for part in found if part.worse] == ["yard"]


def test_a_files_name_alone_is_enough_where_there_is_one_of_it(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,light\na.jpg,sun\n1.jpg,sun\n")
    files = ("x/a.jpg", "x/1.jpg", "y/1.jpg")
    found = slices([str(table)], Looks(), files, np.ones(3, bool))
    assert [(part.name, part.images) for part in found] == [("sun", 1), ("not in the file", 2)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,light\na.jpg,sun\n", "has name, light; expected the columns file and your own"),
        ("file\na.jpg\n", "has file; expected"),
        ("", "has no header; expected"),
    ],
)
def test_a_file_without_the_columns_is_refused_before_any_work(
    text: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        check_slices([str(tmp_path / "t.csv")])


def test_what_is_no_slice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--slice contrast; expected brightness, size, or a file"):
        check_slices(["contrast"])
    with pytest.raises(InputError, match="cannot be read"):
        check_slices([str(tmp_path / "none.csv")])


def test_a_file_of_other_images_or_of_endless_values_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,light\nz.jpg,sun\n")
    with pytest.raises(InputError, match="names none of these images; expected in `file`: red/0"):
        slices([str(table)], Looks(), FILES, np.ones(100, bool))
    table.write_text("file,when\n" + "\n".join(f"{name},{i}" for i, name in enumerate(FILES)))
    with pytest.raises(InputError, match="column 'when' has 100 values; expected at most 50"):
        slices([str(table)], Looks(), FILES, np.ones(100, bool))
