from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Photographs = dict[str, NDArray[np.uint8]]
ANTIALIAS = {"interpolation": "bilinear-antialias"}


def spec(height: int = 224, width: int = 224, color: str = "bgr", **fields: Any) -> Input:
    channels = 1 if color == "gray" else 3
    scale = {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    base = {"height": height, "width": width, "channels": channels, "color": color, **scale}
    return Input(**{**base, **fields})


def crop(side: int = 224, shorter: int = 256, **fields: Any) -> Input:
    return spec(side, side, resize="crop", shorter_side=shorter, crop=(side, side), **fields)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
@pytest.mark.parametrize(("side", "shorter"), [(224, 256), (128, 146), (96, 96)])
def test_antialiased_crop_equals_torchvision(
    photographs: Photographs, name: str, side: int, shorter: int
) -> None:
    from PIL import Image
    from torchvision.transforms import v2

    frame = photographs[name]
    steps = v2.Compose([v2.Resize(shorter, antialias=True), v2.CenterCrop(side)])
    expected = np.asarray(steps(Image.fromarray(frame[:, :, ::-1])), np.int16)
    got = preprocess(frame, crop(side, shorter, color="rgb", **ANTIALIAS)).astype(np.int16)
    assert np.abs(got - expected).max() <= 1


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_the_fast_filter_stays_near_torchvision(photographs: Photographs, name: str) -> None:
    frame = photographs[name]
    exact = preprocess(frame, crop(**ANTIALIAS)).astype(np.int16)
    fast = preprocess(frame, crop()).astype(np.int16)
    assert np.abs(fast - exact).mean() < 4


def test_crop_keeps_the_middle_and_the_aspect() -> None:
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, 100:200] = 255
    assert preprocess(frame, crop(50, 50)).min() > 0


def test_stretch_shows_the_whole_frame() -> None:
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, 150:] = 200
    out = preprocess(frame, spec(40, 40, resize="stretch"))
    assert out[:, :19].max() == 0
    assert out[:, 21:].min() == 200


def test_letterbox_fits_the_whole_frame_and_fills_the_border() -> None:
    frame = np.full((100, 200, 3), 200, np.uint8)
    out = preprocess(frame, spec(80, 80, resize="letterbox", border=114))
    assert (out[:20] == 114).all()
    assert (out[60:] == 114).all()
    assert (out[20:60] == 200).all()


def test_pad_puts_the_cut_in_the_middle_of_a_border() -> None:
    frame = np.full((28, 28, 3), 255, np.uint8)
    out = preprocess(frame, spec(32, 32, resize="pad", shorter_side=28, crop=(28, 28), border=7))
    assert (out[2:30, 2:30] == 255).all()
    assert out.sum() == 28 * 28 * 3 * 255 + (32 * 32 - 28 * 28) * 3 * 7


def test_invert_turns_dark_ink_to_light_but_not_the_border() -> None:
    frame = np.full((28, 28, 3), 250, np.uint8)
    out = preprocess(
        frame, spec(32, 32, "gray", resize="pad", shorter_side=28, crop=(28, 28), invert=True)
    )
    assert (out[2:30, 2:30] == 5).all()
    assert (out[:2] == 0).all()


def test_rgb_is_bgr_with_its_channels_swapped(photographs: Photographs) -> None:
    frame = photographs["coffee"]
    bgr, rgb = preprocess(frame, crop()), preprocess(frame, crop(color="rgb"))
    assert (bgr == rgb[:, :, ::-1]).all()


def test_gray_weighs_the_colours_as_the_eye_does() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[:, :, 2] = 255
    out = preprocess(red, crop(32, 32, color="gray"))
    assert out.shape == (32, 32, 1)
    assert (out == 76).all()


def test_a_grey_frame_is_taken_too(photographs: Photographs) -> None:
    grey = cv2.cvtColor(photographs["coffee"], cv2.COLOR_BGR2GRAY)
    assert preprocess(grey, crop()).shape == (224, 224, 3)


def test_a_frame_smaller_than_the_cut_is_scaled_until_it_covers() -> None:
    frame = np.full((20, 90, 3), 9, np.uint8)
    pad = spec(64, 64, resize="pad", shorter_side=20, crop=(48, 60), border=255)
    assert (preprocess(frame, pad)[8:56, 2:62] == 9).all()


MODES = [
    crop(),
    crop(480, 480),  # the frame's own height: nothing to resize
    crop(color="rgb"),
    crop(color="gray"),
    crop(**ANTIALIAS),
    crop(invert=True),
    spec(resize="stretch"),
    spec(480, 640, resize="stretch"),
    spec(480, 640, color="gray", resize="stretch"),
    spec(resize="letterbox"),
    spec(resize="pad", shorter_side=200, crop=(200, 200)),
]


@pytest.mark.parametrize("how", MODES, ids=str)
def test_the_output_is_contiguous_and_never_a_view_of_the_frame(
    photographs: Photographs, how: Input
) -> None:
    frame = cv2.resize(photographs["astronaut"], (640, 480))
    before = frame.copy()
    out = preprocess(frame, how)
    assert out.shape == (how.height, how.width, how.channels)
    assert out.dtype == np.uint8
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, frame)
    assert (frame == before).all()


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        "picture.jpg",
    ],
    ids=["float", "four channels", "empty", "a name"],
)
def test_what_is_not_a_frame_is_refused_with_what_was_expected(bad: Any) -> None:
    with pytest.raises(InputError, match=r"expected uint8 \(H, W, 3\)"):
        preprocess(bad, crop())
