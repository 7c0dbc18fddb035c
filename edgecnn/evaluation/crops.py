"""Several looks at each picture, and several networks: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from edgecnn.evaluation.predict import BATCH, Answerer, Frame, Predict
from edgecnn.models.ensemble import CROPS, cut
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

Views = Callable[[Frame], Frame]  # a frame -> uint8 (views, H, W, C)

SCHEMES = (*CROPS, "144", "multiscale")
OTHER_NAMES = {"none": "center", "flips": "flip", "5": "five", "10": "ten"}
WITH_CORNERS = ("five", "ten")
# The picture's shorter side over the network's: 256, 288, 320 and 352 for 224.
SZEGEDY = (8 / 7, 9 / 7, 10 / 7, 11 / 7)
SCALES = (1.0, 8 / 7, 9 / 7)
PADDED_SCALES = (13 / 14, 1.0, 15 / 14)  # of the picture inside a border


def scheme(crops: str) -> str:
    """One of `SCHEMES`, by that name or by another.

    Raises:
        InputError: an unknown name.
    """
    name = OTHER_NAMES.get(crops, crops)
    if name not in SCHEMES:
        raise unknown_name("crop scheme", crops, SCHEMES)
    return name


def with_crops(network: Answerer, crops: str) -> Predict:
    """A network that answers with the mean over several crops of each frame.

    Args:
        crops: one of `SCHEMES`. `center` is what the network takes; `flip` adds its mirror image;
            `five` and `ten` are what `export --crops` puts into a graph; `144` is GoogLeNet's: four
            scales, three squares, of each its corners, its middle and the whole, and mirror images
            (Szegedy et al., 2015); `multiscale` the middle of the picture at three scales, and
            mirror images.

    Raises:
        InputError: an unknown scheme, or one that this input has no room for.
    """
    name = scheme(crops)
    if name == "center":
        return network
    spec = network.spec
    if spec.frame is not None:
        raise InputError(
            f"--crops {crops} on a graph that takes frames of {spec.frame[0]}x{spec.frame[1]} as"
            " they are; evaluate the run, or export without --frame"
        )
    look = _views(name, spec)

    def predict(frames: list[Frame]) -> NDArray[np.float32]:
        rows: list[NDArray[np.float64]] = []
        for group in _few(frames, max(1, BATCH // CROPS.get(name, BATCH))):
            looks = [look(frame) for frame in group]
            images = np.concatenate(looks)
            parts = (images[i : i + BATCH] for i in range(0, len(images), BATCH))
            answers = np.concatenate([network.infer(part) for part in parts])
            ends = np.cumsum([len(views) for views in looks])[:-1]
            rows += [part.mean(0, dtype=np.float64) for part in np.split(answers, ends)]
        return np.stack(rows).astype(np.float32)

    return predict


def scales(crops: str, spec: Input) -> tuple[float, ...]:
    """The sizes that a scheme scales pictures to, as multiples of the input's."""
    name = scheme(crops)
    if name == "144":
        return SZEGEDY
    if name == "multiscale":
        return _scales(spec)
    return ((spec.shorter_side or min(spec.height, spec.width)) / min(spec.height, spec.width),)


def ensemble(members: Sequence[Predict]) -> Predict:
    """Networks that answer together with the mean of their probabilities."""
    if len(members) == 1:
        return members[0]

    def predict(frames: list[Frame]) -> NDArray[np.float32]:
        answers = np.stack([member(frames) for member in members])
        return np.asarray(answers.mean(0, dtype=np.float64), np.float32)

    return predict


def with_room(spec: Input, crops: str) -> Input:
    """A network's input -> one with room for crops of its size, in the corners and in the middle.

    A margin is a multiple of 4, so that the crop in the middle lies where `preprocess` would have
    cut it from the frame: it rounds half to even.

    Args:
        spec: `crop`: the sides grow up to the shorter side that the frame is scaled to anyway;
            without that room, and for `stretch`, frame and sides grow by about 8/7, as Krizhevsky's
            256 to 224. `pad`: the border grows until the picture touches the edges of each crop.

    Raises:
        InputError: `letterbox`, or `pad` without a border.
    """
    size = (spec.height, spec.width)
    if spec.resize == "letterbox":
        raise _no_room(crops, spec)
    if spec.resize == "pad":
        assert spec.crop is not None
        height, width = (s + (s - c) // 4 * 4 for s, c in zip(size, spec.crop, strict=True))
        if (height, width) == size:
            raise InputError(
                f"--crops {crops} on resize 'pad' of {spec.crop[0]}x{spec.crop[1]} in"
                f" {size[0]}x{size[1]}; expected a border of 2 pixels, or --crops flip"
            )
        return msgspec.structs.replace(spec, height=height, width=width)
    short = min(size)
    room = (spec.shorter_side or 0) - short
    if room < 4:
        room = 4 * max(1, round(short / 28))
    height, width = (side + side * room // short // 4 * 4 for side in size)
    grown = {"crop": (height, width), "shorter_side": short + room} if spec.resize == "crop" else {}
    return msgspec.structs.replace(spec, height=height, width=width, **grown)


def _views(name: str, spec: Input) -> Views:
    if name == "144":
        if spec.resize in ("letterbox", "pad"):
            raise _no_room(name, spec)
        return lambda frame: _mirrored([*_szegedy(frame, spec)])
    if name == "multiscale":
        scaled = [_at_scale(spec, ratio) for ratio in _scales(spec)]
        return lambda frame: _mirrored([_middle(preprocess(frame, s), spec) for s in scaled])
    room = with_room(spec, name) if name in WITH_CORNERS else spec

    def look(frame: Frame) -> Frame:
        x = torch.from_numpy(preprocess(frame, room)).permute(2, 0, 1)[None]
        parts: Frame = cut(x, (spec.height, spec.width), name).permute(0, 2, 3, 1).numpy()
        return parts

    return look


def _few(frames: Sequence[Frame], count: int) -> Iterator[Sequence[Frame]]:
    return (frames[i : i + count] for i in range(0, len(frames), count))


def _mirrored(views: Sequence[Frame]) -> Frame:
    straight = np.stack(views)
    return np.concatenate([straight, straight[:, :, ::-1]])


def _scales(spec: Input) -> tuple[float, ...]:
    if spec.resize == "letterbox":
        raise _no_room("multiscale", spec)
    return PADDED_SCALES if spec.resize == "pad" else SCALES


def _at_scale(spec: Input, ratio: float) -> Input:
    """The input, with the picture larger by so much than the network's side, or than it was in a
    border; `_middle` cuts what is too much.
    """
    size = (spec.height, spec.width)
    if spec.resize == "crop":
        return msgspec.structs.replace(spec, shorter_side=round(min(size) * ratio))
    if spec.resize == "pad":
        assert spec.crop is not None
        assert spec.shorter_side is not None
        crop = tuple(min(s, round(c * ratio)) for s, c in zip(size, spec.crop, strict=True))
        shorter = round(spec.shorter_side * ratio)
        return msgspec.structs.replace(spec, crop=crop, shorter_side=shorter)
    height, width = (round(side * ratio) for side in size)
    return msgspec.structs.replace(spec, height=height, width=width)


def _middle(image: Frame, spec: Input) -> Frame:
    top, left = (image.shape[0] - spec.height) // 2, (image.shape[1] - spec.width) // 2
    return image[top : top + spec.height, left : left + spec.width]


def _szegedy(frame: Frame, spec: Input) -> Iterator[Frame]:
    """72 views, or 24 of a picture of the network's aspect, whose three windows are one.

    Scaling keeps the frame's colours; `preprocess` then does the rest to each view.
    """
    own = msgspec.structs.replace(spec, resize="stretch", crop=None, shorter_side=None)
    covers = spec.resize == "crop"  # the rest keeps no aspect
    for ratio in SZEGEDY:
        window = (round(spec.height * ratio), round(spec.width * ratio))
        picture = preprocess(frame, _whole(frame, own, window, covers=covers))
        for square in _windows(picture, window):
            corners = cut(torch.from_numpy(square).permute(2, 0, 1)[None], _size(spec), "five")
            for view in corners.permute(0, 2, 3, 1).numpy():
                yield preprocess(view, own)
            yield preprocess(square, own)


def _size(spec: Input) -> tuple[int, int]:
    return spec.height, spec.width


def _whole(frame: Frame, own: Input, window: tuple[int, int], *, covers: bool) -> Input:
    """Scales the whole frame to the window, or until it just covers it, in the frame's colours."""
    height, width = window
    if covers:
        scale = max(height / frame.shape[0], width / frame.shape[1])
        height = max(height, round(frame.shape[0] * scale))
        width = max(width, round(frame.shape[1] * scale))
    colours = {"channels": 3, "color": "bgr", "invert": False, "mean": (0.0,) * 3}
    return msgspec.structs.replace(own, height=height, width=width, **colours, std=(1.0,) * 3)


def _windows(picture: Frame, window: tuple[int, int]) -> Iterator[Frame]:
    """At the beginning, in the middle and at the end of the longer side."""
    down, across = picture.shape[0] - window[0], picture.shape[1] - window[1]
    places = dict.fromkeys([(0, 0), (down // 2, across // 2), (down, across)])
    for top, left in places:
        yield picture[top : top + window[0], left : left + window[1]]


def _no_room(crops: str, spec: Input) -> InputError:
    expected = "crop or stretch" if crops == "144" else "crop, stretch or pad"
    return InputError(
        f"--crops {crops} on resize {spec.resize!r}, whose corners are border; expected {expected},"
        " or --crops flip"
    )
