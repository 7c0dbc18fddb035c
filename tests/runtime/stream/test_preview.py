from __future__ import annotations

import sys

import cv2
import pytest

from edgecnn_runtime.stream import preview
from edgecnn_runtime.stream.preview import window_problem

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="DISPLAY is Linux's")


def test_no_display_is_found_before_opencv_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert window_problem() == "no display here (DISPLAY is not set)"


def test_an_opencv_without_windows_says_which_one_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:              NONE\n")
    assert "pip install opencv-python" in str(window_problem())


def test_a_display_that_does_not_answer_is_found_by_a_child_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    QT5\n")
    monkeypatch.setattr(preview, "_PROBE", "import os; os.abort()")
    assert window_problem() == "the display :97 does not answer"


def test_a_display_that_answers_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:    QT5\n")
    monkeypatch.setattr(preview, "_PROBE", "pass")
    assert window_problem() is None
