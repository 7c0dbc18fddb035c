from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.classifier import Prediction
from edgecnn_runtime.stream.overlay import annotate
from edgecnn_runtime.stream.result import Result


def result_of(frame: NDArray[np.uint8], label: str = "gravel") -> Result:
    predictions = [Prediction(0, label, 0.91), Prediction(1, "grass", 0.09)]
    return Result("x", 0, predictions, frame, datetime.now(timezone.utc), 12.0, 0.3, 8.0, 0.1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (480, 640)), ((96, 96), (384, 384)), ((28, 28), (364, 364))],
)
def test_small_frames_are_scaled_up_by_whole_multiples_so_that_text_fits(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    frame = np.full((*size, 3), 128, np.uint8)
    assert annotate(frame, result_of(frame)).shape == (*expected, 3)


def test_the_frame_itself_is_left_as_it_was(photographs: dict[str, NDArray[np.uint8]]) -> None:
    frame = photographs["coffee"]
    before = frame.copy()
    picture = annotate(frame, result_of(frame), fps=30, random_weights=True)
    assert (frame == before).all()
    assert not np.shares_memory(picture, frame)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_text_stands_out_on_any_background(level: int) -> None:
    frame = np.full((480, 640, 3), level, np.uint8)
    headline = annotate(frame, result_of(frame))[:52]
    assert int(headline.max()) - int(np.median(headline)) > 150


def test_random_weights_are_said_in_red_across_the_picture() -> None:
    frame = np.full((480, 640, 3), 255, np.uint8)

    def red(picture: NDArray[np.uint8]) -> float:
        blue, green, reds = (picture[:, :, c].astype(int) for c in range(3))
        return float(((reds - blue > 100) & (reds - green > 100)).mean())

    assert red(annotate(frame, result_of(frame))) == 0
    assert red(annotate(frame, result_of(frame), random_weights=True)) > 0.04


@pytest.mark.parametrize("size", [(480, 640), (96, 96), (100, 1000), (1000, 100), (1, 1)])
@pytest.mark.parametrize("label", ["a very long label " * 8, "Straße 街", "街", ""])
def test_any_label_fits_on_any_frame(size: tuple[int, int], label: str) -> None:
    frame = np.zeros((*size, 3), np.uint8)
    assert annotate(frame, result_of(frame, label), fps=1e4, random_weights=True).size
