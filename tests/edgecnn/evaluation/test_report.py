"""The report is one file that needs no other, whatever the labels and however many."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecnn.data import colour_crops
from edgecnn.evaluation.judgement import Judgement, judge_answers
from edgecnn.evaluation.report import Subject, check_report, render, write_report
from edgecnn.evaluation.slices import Slice
from edgecnn_runtime.errors import InputError

SUBJECT = Subject("runs/a", "photos", 4_000_000, "ten", ("its members disagree",))
VOID = {"meta", "link", "br", "img"}


@dataclass(frozen=True)
class Crops:
    """Photographs in colour, whose labels do not matter here."""

    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
        return colour_crops(4)[index % 4]


class Page(HTMLParser):
    """Collects what is in a page, and holds every tag to its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: dict[str, list[dict[str, str | None]]] = {}
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.setdefault(tag, []).append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.setdefault(tag, []).append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _judged(classes: int, images: int, labels: tuple[str, ...] | None = None) -> Judgement:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)).astype(np.float32)
    logits[np.arange(images), targets] += 2
    p = np.exp(logits)
    named = labels or tuple(f"class {c}" for c in range(classes))
    return judge_answers(p / p.sum(1, keepdims=True), targets, named)


def _page(found: Judgement, subject: Subject = SUBJECT) -> Page:
    split = Crops(np.zeros(found.metrics.images, np.int64))
    page = Page(render(found, subject, split))
    assert page.open == []
    return page


def test_the_page_needs_no_other_file_and_no_script() -> None:
    found = _judged(4, 200)
    text = render(found, SUBJECT, Crops(np.zeros(200, np.int64)))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", text)
    page = Page(text)
    assert "script" not in page.found
    assert all(str(img["src"]).startswith("data:image/") for img in page.found["img"])
    assert {link["href"] for link in page.found["link"]} == {"data:,"}
    assert "prefers-color-scheme: dark" in text
    assert any(meta.get("name") == "viewport" for meta in page.found["meta"])


def test_figures_intervals_and_warnings_stand_on_it() -> None:
    found = _judged(4, 60)
    text = " ".join(" ".join(_page(found).text).split())
    interval = found.intervals["top1"]
    assert interval is not None
    assert f"top-1 {100 * found.metrics.top1:.2f} {100 * interval[0]:.2f} to" in text
    assert "its members disagree" in text
    assert "60 images are too few to tell top-1 closer than" in text
    assert "crops: ten" in text
    for row in found.as_result()["classes"]:
        assert f"{row['label']} {row['images']} {row['called']}" in text


def test_the_worst_mistakes_are_shown_as_pictures() -> None:
    found = _judged(4, 200)
    pictures = _page(found).found["img"]
    assert len(pictures) == len(found.mistakes) == 24
    certain = [m.p for m in found.mistakes]
    assert certain == sorted(certain, reverse=True)
    for picture, mistake in zip(pictures, found.mistakes, strict=True):
        assert picture["alt"] == f"{mistake.truth} that was called {mistake.called}"
        shown = Image.open(BytesIO(b64decode(str(picture["src"]).partition(",")[2])))
        frame = colour_crops(4)[mistake.index % 4]
        assert max(shown.size) == 160
        red, green, blue = np.asarray(shown.convert("RGB")).mean((0, 1))
        assert (blue, green, red) == pytest.approx(frame.mean((0, 1)), abs=4)


def test_a_label_cannot_write_into_the_page() -> None:
    evil = ("<script>alert(1)</script>", '"><img src=x>', "a & b")
    page = _page(_judged(3, 60, evil), replace(SUBJECT, target="<b>run</b>"))
    assert "script" not in page.found
    assert "b" not in page.open
    assert all(str(img["src"]).startswith("data:") for img in page.found["img"])
    assert evil[0] in "".join(page.text)


def test_ten_thousand_classes_make_a_page_of_the_most_confused() -> None:
    found = _judged(10_000, 1_500)
    text = render(found, SUBJECT, Crops(np.zeros(1_500, np.int64)))
    assert len(text) < 500_000
    page = Page(text)
    assert "the 24 of 10,000 classes that are confused most" in "".join(page.text)
    rows = len(page.found["tr"])
    assert 100 < rows < 200
    assert len(found.as_result()["classes"]) == 10_000


def test_a_perfect_classifier_and_a_class_without_images_have_a_page_too() -> None:
    y = np.arange(40) % 3
    p = np.eye(4, dtype=np.float32)[y]
    page = _page(judge_answers(p, y, ("a", "b", "c", "absent")))
    text = "".join(page.text)
    assert "No image was answered wrongly." in text
    assert "img" not in page.found


def test_slices_that_are_surely_worse_are_marked() -> None:
    weak = Slice("camera", "gate", 30, 0.2, (0.1, 0.37), worse=True)
    fine = Slice("camera", "yard", 30, 0.9, (0.74, 0.97), worse=False)
    page = _page(replace(_judged(3, 60), slices=(weak, fine)))
    marked = [cell for cell in page.found["td"] if cell.get("class") == "worse"]
    assert len(marked) == 1
    assert "gate" in "".join(page.text)


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    found = _judged(3, 60)
    file = tmp_path / "report.html"
    file.write_text("old")
    with pytest.raises(IndexError):
        write_report(file, found, SUBJECT, _Broken(np.zeros(60, np.int64)))
    assert file.read_text() == "old"
    write_report(file, found, SUBJECT, Crops(np.zeros(60, np.int64)))
    assert file.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


class _Broken(Crops):
    def frame(self, index: int, rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
        raise IndexError(index)


def test_a_place_that_cannot_hold_a_report_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends in .html"):
        check_report(tmp_path / "report.pdf")
    with pytest.raises(InputError, match="make it first"):
        check_report(tmp_path / "none" / "report.html")
    (tmp_path / "r.html").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_report(tmp_path / "r.html")
