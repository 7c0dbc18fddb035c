"""The screen through a substituted mss: whatever display there is, or none."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from edgecnn_runtime.camera.adjusted import AdjustedSource
from edgecnn_runtime.camera.live import CameraSource
from edgecnn_runtime.camera.screen import connect_screen
from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.errors import SourceError

_pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 4), np.uint8)


class Grabber:
    monitors = ({}, {"left": 0, "top": 0, "width": 80, "height": 60})
    shots = 0

    def grab(self, area: dict[str, int]) -> SimpleNamespace:
        self.shots += 1
        return SimpleNamespace(bgra=_pixels.tobytes(), width=area["width"], height=area["height"])

    def close(self) -> None:
        pass


def install(monkeypatch: pytest.MonkeyPatch, grabber: object) -> None:
    module = ModuleType("mss")
    module.mss = grabber  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mss", module)


def test_a_still_screen_goes_on_being_read_and_is_dated_at_capture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, Grabber)
    source = open_source("screen://1?fps=100")
    assert (source.name, source.age_from, source.fps) == ("screen", "capture", 100)
    for _ in range(3):
        captured = source.read()
        assert captured is not None
        assert (captured.frame == _pixels[:, :, :3]).all()
    source.stop()
    source.close()


def test_the_picture_is_taken_after_its_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    grabber = Grabber()
    install(monkeypatch, lambda: grabber)
    capture = connect_screen(1, None)
    assert capture.grab()  # behind which it is stamped
    assert grabber.shots == 0
    assert capture.retrieve()[1].shape == (60, 80, 3)
    assert grabber.shots == 1


def test_settings_behind_the_question_mark_are_all_heeded_and_before_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, Grabber)
    asked = settings_of({"rotate": 90, "stall": 9})
    source = open_source("screen://1?roi=10,5,20,30&rotate=180&skip=1&stall=2", settings=asked)
    captured, following = source.read(), source.read()
    assert captured is not None
    assert following is not None
    assert (captured.frame == np.rot90(_pixels[:, :, :3], 2)[5:35, 10:30]).all()
    assert following.index - captured.index >= 2
    assert isinstance(source, AdjustedSource)
    assert isinstance(source.inner, CameraSource)
    assert source.inner._patience.stall == 2
    source.stop()
    source.close()


def test_a_machine_without_mss_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(SourceError, match="screen:// needs mss: pip install mss"):
        open_source("screen://")


def test_a_machine_without_a_display_or_that_screen_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(monkeypatch, Grabber)
    with pytest.raises(SourceError, match="no screen 7; there are 1, counted from 1"):
        open_source("screen://7")

    def none() -> Grabber:
        raise RuntimeError("$DISPLAY not set")

    install(monkeypatch, none)
    with pytest.raises(SourceError, match=r"the screen cannot be read: \$DISPLAY not set"):
        open_source("screen://")
