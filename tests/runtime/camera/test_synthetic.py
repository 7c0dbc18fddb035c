from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.synthetic import burn, burned
from edgecnn_runtime.errors import InputError


def test_a_time_that_is_burned_in_survives_a_codec(
    photographs: dict[str, NDArray[np.uint8]],
) -> None:
    frame = photographs["coffee"].copy()
    burn(frame, 1234567890123456789)
    assert burned(frame) == 1234567890123456789
    _, coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert (
        burned(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)) == 1234567890123456789
    )


def test_a_picture_without_a_time_has_none(photographs: dict[str, NDArray[np.uint8]]) -> None:
    assert all(burned(picture) is None for picture in photographs.values())
    assert burned(np.zeros((8, 8, 3), np.uint8)) is None


def test_a_synthetic_camera_gives_its_size_and_number_of_frames_the_same_for_a_seed() -> None:
    first, second = (
        open_source("synthetic://?size=160x120&fps=500&frames=400&seed=3") for _ in range(2)
    )
    frames = [first.read() for _ in range(2)]
    other = second.read()
    assert frames[0] is not None
    assert frames[1] is not None
    assert other is not None
    assert frames[0].frame.shape == (120, 160, 3)
    assert (frames[0].frame[40:] == other.frame[40:]).all()
    assert (frames[0].frame[40:] != frames[1].frame[40:]).any()
    assert burned(frames[1].frame) == frames[1].stamp_ns
    while (captured := first.read()) is not None:
        last = captured.index
    assert last <= 399


def test_whoever_reads_late_misses_frames_that_are_counted() -> None:
    source = open_source("synthetic://?size=160x120&fps=200")
    source.read()
    time.sleep(0.1)
    captured = source.read()
    assert captured is not None
    assert captured.index >= 15
    assert source.dropped == captured.index - 1


def test_frames_can_be_thinned_out_to_a_rate() -> None:
    settings = settings_of({"skip": 4})
    source = open_source("synthetic://?size=160x120&fps=500&frames=401", settings=settings)
    assert source.fps == 100
    indices = []
    while (captured := source.read()) is not None:
        indices.append(captured.index)
    assert len(indices) <= 81
    assert min(np.diff(indices)) >= 5


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("size=9x9", "expected at least 144x32"),
        ("sise=1x1", "did you mean 'size'"),
        ("seed=x", "whole"),
    ],
)
def test_a_wrong_setting_is_one_line(query: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_source(f"synthetic://?{query}")
