from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from http.client import HTTPConnection
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.source import Captured
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.capture import CapturePage, CaptureWindow, Keys, collect
from edgecnn_runtime.stream.collecting import Collector, split_by_time
from edgecnn_runtime.stream.keys import terminal_keys

Frames = list[NDArray[np.uint8]]


def captured(frame: NDArray[np.uint8], index: int) -> Captured:
    return Captured(frame, index * 10**9, datetime.now(timezone.utc), index)


class Film:
    """A live source of given frames, a second apart, which calls back before each."""

    name, is_live, fps, reconnects, errors = "film", True, None, 0, 0
    age_from: Literal["capture", "arrival"] = "capture"

    def __init__(self, frames: Frames, before: Callable[[int], None] = lambda index: None) -> None:
        self._frames, self._before, self._index, self._stopped = frames, before, 0, False

    def read(self) -> Captured | None:
        self._before(self._index)
        if self._stopped or self._index == len(self._frames):
            return None
        self._index += 1
        return captured(self._frames[self._index - 1], self._index - 1)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None: ...


def images(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*.jpg"))


def test_frames_go_to_the_class_that_a_key_chose_and_the_last_are_held_out(
    tmp_path: Path, pan: Frames
) -> None:
    collector = Collector(tmp_path, ["apple", "pear"], source="film")
    pressed = {0: "1", 15: " ", 20: "2", 38: "q"}
    source = Film(pan, lambda index: keys.press(pressed.get(index, "x")))
    keys = Keys(collector, ["apple", "pear"], source.stop)
    collect(source, collector)
    report = collector.finish()
    assert report.frames == 38
    kept = {one.name: (one.train, one.val, one.apart) for one in report.classes}
    assert sum(kept["apple"]) <= 15
    for name, (train, val, apart) in kept.items():
        assert apart == 1  # of frames a second apart
        assert len(list((tmp_path / "apart" / name).iterdir())) == 1
        assert len(list((tmp_path / "train" / name).iterdir())) == train > val
        held_out = list((tmp_path / "val" / name).iterdir())
        assert len(held_out) == val >= 1
        newest = max(_index(p) for p in (tmp_path / "train" / name).iterdir())
        assert all(_index(path) >= newest + 2 for path in held_out)


def _index(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def test_a_scene_that_stands_still_is_kept_once_though_its_frames_have_noise(
    tmp_path: Path, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    random = np.random.default_rng(2)
    scenes = [photographs["coffee"], photographs["chelsea"]]
    frames = [
        np.clip(scene + random.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
        for scene in (*scenes, scenes[0])  # and back again
        for _ in range(4)
    ]
    collector = Collector(tmp_path, ["cup"], source="film")
    collector.choose("cup")
    collect(Film(frames), collector)
    assert collector.state().skipped == 10
    assert len(images(tmp_path)) == 2


def test_a_photograph_is_what_the_camera_gave(tmp_path: Path, pan: Frames) -> None:
    collector = Collector(tmp_path, ["a b"], source="film")
    collector.choose("a b")
    collect(Film(pan[:1]), collector)
    (path,) = (tmp_path / "train" / "a b").iterdir()
    image = cv2.imread(str(path))
    assert image is not None
    assert np.abs(image.astype(int) - pan[0]).mean() < 3


def test_a_film_is_sampled_by_its_own_time(tmp_path: Path, clip: Path) -> None:
    collector = Collector(tmp_path, ["x"], source="pan", every=0.5, levels=0)
    collector.choose("x")
    source = open_source(clip)
    collect(source, collector)
    source.close()
    assert [_index(p) for p in sorted((tmp_path / "train" / "x").iterdir())] == [0, 15, 30]


def test_a_file_without_a_class_to_begin_with_is_an_input_error(tmp_path: Path, clip: Path) -> None:
    source = open_source(clip)
    with pytest.raises(InputError, match="--begin CLASS"):
        collect(source, Collector(tmp_path, ["x", "y"], source="pan"))
    source.close()


def test_the_cut_is_between_two_visits_where_there_were_two() -> None:
    first, second = [float(s) for s in range(78)], [1000.0 + s for s in range(22)]
    assert split_by_time([*first, *second], 0.2) == (78, 78)
    assert split_by_time([float(s) for s in range(100)], 0.2) == (79, 80)
    assert split_by_time([s / 8 for s in range(100)], 0.2) == (65, 80)


def test_a_short_session_keeps_half_to_train_on_and_a_shorter_one_all() -> None:
    assert split_by_time([s / 8 for s in range(10)], 0.2) == (5, 8)
    assert split_by_time([0.0, 1.0, 2.0], 0.2) == (3, 3)
    assert split_by_time([float(s) for s in range(100)], 0.0) == (100, 100)


def test_a_full_disk_leaves_whole_photographs(
    small_disk: Callable[[str], Path], pan: Frames
) -> None:
    folder = small_disk("64k")
    collector = Collector(folder, ["x"], source="film")
    collector.choose("x")
    with pytest.raises(OSError, match="No space left"):
        collect(Film(pan), collector)
    report = collector.finish()
    kept = list(folder.rglob("*"))
    assert len([p for p in kept if p.suffix == ".jpg"]) == sum(
        c.train + c.val + c.apart for c in report.classes
    )
    assert all(cv2.imread(str(p)) is not None for p in kept if p.is_file())


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", " x", "a\nb"])
def test_a_class_that_cannot_be_a_folder_is_an_input_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a class"):
        Collector(tmp_path, ["ok", name], source="film")
    assert list(tmp_path.iterdir()) == []


def test_a_button_on_the_page_switches_class_and_an_unknown_one_is_refused(
    tmp_path: Path,
) -> None:
    collector = Collector(tmp_path, ["apple", "pear"], source="film")
    page = CapturePage(collector, "film", 0)
    try:
        connection = HTTPConnection("127.0.0.1", page.server.server_address[1], timeout=20)
        for name, status, current in (
            ("pear", 200, "pear"),
            ("plum", 400, "pear"),
            ("", 200, None),
        ):
            connection.request("POST", f"/class?name={name}", b"")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == status
            assert collector.state().current == current
        connection.close()
    finally:
        page.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_closing_the_window_ends_the_session(
    tmp_path: Path, pan: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open, shown = [1.0, 1.0, 0.0], list[object]()
    for name in ("namedWindow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, lambda *arguments: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "pollKey", lambda: -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: is_open.pop(0))
    film = Film(pan)
    collector = Collector(tmp_path, ["x"], source="film")
    collect(film, collector, views=[CaptureWindow(collector, Keys(collector, ["x"], film.stop))])
    assert len(shown) == 3
    assert collector.finish().frames == 4


def test_keys_of_the_terminal_come_one_by_one_and_the_terminal_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import termios

    typed, terminal = os.openpty()
    monkeypatch.setattr("sys.stdin", os.fdopen(terminal, closefd=False))
    before = termios.tcgetattr(terminal)
    pressed: list[str] = []
    both = threading.Event()

    def press(key: str) -> None:
        pressed.append(key)
        if len(pressed) == 2:
            both.set()

    with terminal_keys(press) as there_are:
        assert there_are
        os.write(typed, b"1q")
        assert both.wait(20)
    assert pressed == ["1", "q"]
    assert termios.tcgetattr(terminal) == before
    sys.stdin.close()
    os.close(typed)
    os.close(terminal)
