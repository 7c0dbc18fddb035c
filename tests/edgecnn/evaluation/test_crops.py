"""Several looks at a picture: what they show, and that a bundle of crops answers the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.crops import SCHEMES, ensemble, with_crops
from edgecnn.evaluation.predict import Answerer, in_pytorch, predict_all
from edgecnn.models import build
from edgecnn.training.run import load_network, read_run
from edgecnn_export.combine import open_sources
from edgecnn_export.sources import Options
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Frame = NDArray[np.uint8]


class Watched:
    """Answers with the mean of each image's left half and of its right, and keeps the images."""

    def __init__(self, **fields: Any) -> None:
        given = {"height": 48, "width": 48, "channels": 3, "color": "rgb", **fields}
        if given.get("resize", "crop") == "crop":
            given |= {"crop": (given["height"], given["width"]), "shorter_side": 54}
        channels = given["channels"]
        given |= {"mean": (0.5,) * channels, "std": (0.25,) * channels}
        self.seen: list[Frame] = []
        self.answerer = Answerer(msgspec.convert(given, Input), self.infer, 1)

    def infer(self, images: Frame) -> NDArray[np.float32]:
        self.seen += list(images)
        half = images.shape[2] // 2
        halves = [images[:, :, :half].mean((1, 2, 3)), images[:, :, half:].mean((1, 2, 3))]
        return (np.stack(halves, 1) / 255).astype(np.float32)


@pytest.fixture(scope="module")
def photograph() -> Frame:
    """Wider than high."""
    return np.ascontiguousarray(cv2.resize(colour_crops(4)[1], (200, 120)))


@pytest.mark.parametrize(
    ("crops", "count"),
    [("center", 1), ("flip", 2), ("five", 5), ("ten", 10), ("144", 144), ("multiscale", 6)],
)
def test_each_scheme_looks_so_often_and_answers_with_the_mean(
    crops: str, count: int, photograph: Frame
) -> None:
    watched = Watched()
    answer = with_crops(watched.answerer, crops)([photograph])[0]
    assert len(watched.seen) == count
    assert {image.shape for image in watched.seen} == {(48, 48, 3)}
    own = Watched().infer(np.stack(watched.seen)).mean(0, dtype=np.float64)
    assert answer == pytest.approx(own, abs=1e-6)
    middle = preprocess(photograph, watched.answerer.spec)
    nearest = min(np.abs(image.astype(int) - middle).mean() for image in watched.seen)
    assert nearest < (12 if crops in ("144", "multiscale") else 1e-9)


@pytest.mark.parametrize("crops", ["flip", "ten", "144", "multiscale"])
def test_with_mirror_images_left_and_right_weigh_the_same(crops: str, photograph: Frame) -> None:
    plain = Watched().answerer([photograph])[0]
    assert abs(plain[0] - plain[1]) > 0.005
    left, right = with_crops(Watched().answerer, crops)([photograph])[0]
    assert left == pytest.approx(right, abs=1e-6)


def test_144_crops_reach_both_ends_of_a_wide_picture_and_the_whole_of_it(
    photograph: Frame,
) -> None:
    dark = photograph.copy()
    dark[:, :8], dark[:, -8:] = (0, 0, 255), (255, 0, 0)  # red at the left, blue at the right
    watched = Watched()
    with_crops(watched.answerer, "144")([dark])
    straight = watched.seen[:72]
    red = sum(int(image[:, 0, 0].mean() > 200 and image[:, 0, 2].mean() < 60) for image in straight)
    blue = sum(int(image[:, -1, 2].mean() > 200) for image in straight)
    # Of the window at an end two corners and the whole touch the edge, at four scales.
    assert (red, blue) == (12, 12)


def test_a_square_picture_is_not_looked_at_thrice(photograph: Frame) -> None:
    watched = Watched()
    with_crops(watched.answerer, "144")([photograph[:, :120]])
    assert len(watched.seen) == 48


@pytest.mark.parametrize("crops", SCHEMES)
def test_grey_stretched_and_inverted_inputs_are_looked_at_alike(
    crops: str, photograph: Frame
) -> None:
    watched = Watched(channels=1, color="gray", resize="stretch", invert=True)
    with_crops(watched.answerer, crops)([photograph, photograph[:60]])
    assert {image.shape for image in watched.seen} == {(48, 48, 1)}
    upright = preprocess(photograph, watched.answerer.spec).mean()
    assert watched.seen[0].mean() == pytest.approx(upright, abs=16)


def test_digits_keep_their_border_at_each_scale() -> None:
    watched = Watched(
        **{"height": 32, "width": 32, "channels": 1, "color": "gray", "resize": "pad"},
        crop=(28, 28),
        shorter_side=28,
    )
    digit = next(some_frames(load_data("mnist5k").val))
    with_crops(watched.answerer, "multiscale")([digit])
    ink = [int(image.sum()) for image in watched.seen[:3]]
    assert ink == sorted(set(ink))  # more at each scale
    assert all(not image[0].any() and not image[-1].any() for image in watched.seen)


def test_what_has_no_room_is_refused() -> None:
    boxed = Watched(resize="letterbox").answerer
    for crops in ("five", "ten", "144", "multiscale"):
        with pytest.raises(InputError, match="whose corners are border"):
            with_crops(boxed, crops)
    with_crops(boxed, "flip")
    with pytest.raises(InputError, match="did you mean 'ten'"):
        with_crops(boxed, "tem")
    whole = msgspec.structs.replace(boxed.spec, frame=(480, 640))
    with pytest.raises(InputError, match="takes frames of 480x640 as they are"):
        with_crops(Answerer(whole, boxed.infer, 1), "flip")


@pytest.mark.parametrize("crops", ["flip", "five", "ten"])
def test_a_bundle_of_crops_is_measured_by_the_same_answers(trained_run: Path, crops: str) -> None:
    frames = [*some_frames(load_data("terrain").val, 6), *colour_crops(4)]
    exported = open_sources([str(trained_run)], Options(), crops).predict
    run = read_run(trained_run)
    ours = with_crops(in_pytorch(load_network(trained_run, run), run.input), crops)
    assert predict_all(ours, frames) == pytest.approx(predict_all(exported, frames), abs=2e-6)


def test_an_ensemble_is_measured_by_the_answers_of_its_bundle(trained_run: Path) -> None:
    frames = list(some_frames(load_data("terrain").val, 8))
    run = read_run(trained_run)
    one = in_pytorch(load_network(trained_run, run), run.input)
    other = in_pytorch(build("mobilenet_v1", num_classes=3, width=0.25), run.input)
    both = predict_all(ensemble([one, other]), frames)
    mean = (predict_all(one, frames) + predict_all(other, frames)) / 2
    assert both == pytest.approx(mean, abs=1e-6)
    twice = open_sources([str(trained_run), str(trained_run)], Options()).predict
    alike = predict_all(ensemble([one, one]), frames)
    assert alike == pytest.approx(predict_all(twice, frames), abs=2e-6)
