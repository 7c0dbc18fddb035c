"""What is drawn on a picture: the answer, how sure it is, how old and how fast."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.classifier import Prediction
from edgecnn_runtime.stream.result import Result

SMALLEST = 360  # pixels of the shorter side, below which a picture is scaled up to hold text

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _GREY, _GREEN, _RED = (255, 255, 255), (200, 200, 200), (110, 220, 120), (40, 40, 215)
Picture = NDArray[np.uint8]


def annotate(
    frame: Picture,
    result: Result,
    *,
    fps: float | None = None,
    random_weights: bool = False,
) -> Picture:
    """Draw a result on a copy of its frame, or of a filter's picture.

    Args:
        frame: what to draw on, `result.shown` as a rule: uint8 (H, W, 3) BGR; is left as it is.
        fps: results a second, where they are known.
        random_weights: say on the picture that the network was never trained.

    Returns:
        uint8 (H', W', 3) BGR. The size is the frame's, or a whole multiple where the frame is too
        small to hold text; the same for every frame of a size.
    """
    picture = _large_enough(frame)
    height, width = picture.shape[:2]
    unit = max(0.75, min(width / 640, height / 480))
    top = _headline(picture, result.answer, unit) if result.predictions else 0
    if random_weights:
        _band(picture, top, round(30 * unit), _RED)
        _text(picture, "RANDOM WEIGHTS", 14 * unit, top + 21 * unit, 0.6 * unit, _WHITE, 2)
    foot = _footer(picture, result.frame_age_ms, fps, unit)
    if len(result.predictions) > 1:
        _bars(picture, result.predictions[:5], foot, unit)
    return picture


def _large_enough(frame: Picture) -> Picture:
    short = min(frame.shape[:2])
    if short >= SMALLEST * 2 // 3:
        copied: Picture = frame.copy()
        return copied
    times = -(-SMALLEST // short)
    size = (frame.shape[1] * times, frame.shape[0] * times)
    large: Picture = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return large


def _headline(picture: Picture, best: Prediction, unit: float) -> int:
    """The answer across the top; returns where it ends."""
    height = round(52 * unit)
    _shade(picture, 0, height)
    sure = f"{best.probability:.1%}"
    room = picture.shape[1] - _width(sure, 1.0 * unit, 2) - 44 * unit
    _text(picture, _fit(best.label, room, unit, 2), 14 * unit, 37 * unit, unit, _WHITE, 2)
    left = picture.shape[1] - _width(sure, unit, 2) - 14 * unit
    _text(picture, sure, left, 37 * unit, unit, _GREEN, 2)
    return height


def _footer(picture: Picture, age_ms: float, fps: float | None, unit: float) -> int:
    """Frame age and rate along the bottom; returns where it begins."""
    begin: int = picture.shape[0] - round(28 * unit)
    _shade(picture, begin, picture.shape[0])
    text = f"frame age {age_ms:.1f} ms" + (f"   {fps:.1f} fps" if fps else "")
    _text(picture, text, 14 * unit, begin + 20 * unit, 0.5 * unit, _GREY, 1)
    return begin


def _bars(picture: Picture, predictions: Sequence[Prediction], foot: int, unit: float) -> None:
    """One line a class above the footer: probability as a length, as a number, and its name."""
    line, longest = round(24 * unit), round(150 * unit)
    begin = foot - line * len(predictions) - round(6 * unit)
    _shade(picture, begin, foot)
    left = round(14 * unit)
    for row, prediction in enumerate(predictions):
        middle = begin + round(6 * unit) + row * line + line // 2
        half = max(2, round(6 * unit))
        full = (left + longest, middle + half)
        cv2.rectangle(picture, (left, middle - half), full, (90, 90, 90), -1)
        end = left + round(longest * prediction.probability)
        if end > left:
            cv2.rectangle(picture, (left, middle - half), (end, middle + half), _GREEN, -1)
        base, after = middle + 5 * unit, left + longest + 12 * unit
        _text(picture, f"{prediction.probability:6.1%}", after, base, 0.5 * unit, _WHITE, 1)
        name = after + 70 * unit
        label = _fit(prediction.label, picture.shape[1] - name - 10 * unit, 0.5 * unit, 1)
        _text(picture, label, name, base, 0.5 * unit, _WHITE, 1)


def _shade(picture: Picture, top: int, bottom: int) -> None:
    """Darken rows, so that white text can be read on snow."""
    rows = picture[max(0, top) : bottom]
    if rows.size:
        cv2.convertScaleAbs(rows, dst=rows, alpha=0.3)


def _band(picture: Picture, top: int, height: int, color: tuple[int, int, int]) -> None:
    picture[top : top + height] = color


def _thick(weight: int, scale: float) -> int:
    return round(weight * max(1.0, scale))


def _width(text: str, scale: float, weight: int) -> int:
    size, _ = cv2.getTextSize(text, _FONT, scale, _thick(weight, scale))
    width: int = size[0]
    return width


def _fit(text: str, room: float, scale: float, weight: int) -> str:
    """Shorten a label to the room that there is. The font knows ASCII alone."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or "?"
    if _width(plain, scale, weight) <= room:
        return plain
    while plain and _width(plain + "...", scale, weight) > room:
        plain = plain[:-1]
    return plain + "..." if plain else ""


def _text(
    picture: Picture,
    text: str,
    left: float,
    base: float,
    scale: float,
    color: tuple[int, int, int],
    weight: int,
) -> None:
    at = (round(left), round(base))
    cv2.putText(picture, text, at, _FONT, scale, color, _thick(weight, scale), cv2.LINE_AA)
