"""A picture is written whole or not at all, and a wrong place is found before the work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from edgecnn.visualization.pictures import check_picture, save_picture
from edgecnn_runtime.errors import InputError


@pytest.fixture
def figure() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.text(0.5, 0.5, "words")
    return figure


def test_a_png_opens_and_is_not_blank(figure: Figure, tmp_path: Path) -> None:
    save_picture(figure, tmp_path / "a.png", dpi=100)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (200, 100)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]  # and no temporary file


def test_the_suffix_chooses_and_an_svg_is_the_same_every_time(
    figure: Figure, tmp_path: Path
) -> None:
    save_picture(figure, tmp_path / "a.SVG")
    save_picture(figure, tmp_path / "b.svg")
    first = (tmp_path / "a.SVG").read_bytes()
    assert b"<svg" in first
    assert first == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a.pdf", "ends in .png or .svg"),
        ("a", "ends in .png or .svg"),
        ("nowhere/a.png", "no folder"),
        ("folder.png", "is a folder"),
        ("file.txt/a.png", "no folder"),
    ],
)
def test_a_place_that_cannot_be(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(InputError, match=says):
        check_picture(tmp_path / name)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc, where nobody can write")
def test_a_folder_where_nothing_can_be_written(figure: Figure) -> None:
    with pytest.raises(InputError, match=r"cannot write '/proc/a.png'"):
        check_picture(Path("/proc/a.png"))


def test_an_older_picture_stays_if_the_new_one_cannot_be_written(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(b"older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgecnn_runtime.atomic.os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        save_picture(figure, tmp_path / "a.png")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", b"older")]
