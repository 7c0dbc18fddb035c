"""From a camera frame to the network's input: the one implementation of it.

Validation, evaluation, calibration, parity and the device all call `preprocess`, so that they
cannot differ. What it does is described by `manifest.Input` and by nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from edgecnn_runtime.manifest import FrameInput, Input

try:
    import cv2
except ImportError as error:  # no OpenCV at all, or a system library of its window build is missing
    raise MissingPackageError(
        f"OpenCV does not load ({error}); expected opencv-python-headless, which needs no libGL:"
        " pip uninstall -y opencv-python && pip install opencv-python-headless"
    ) from error

Frame = NDArray[np.uint8]


class _Plan(NamedTuple):
    """Where each pixel goes, for one size of frame."""

    resized: tuple[int, int]  # (height, width) of the whole frame after scaling
    cut: tuple[int, int, int, int]  # top, left, height, width, in the scaled frame
    place: tuple[int, int] | None  # top, left in the output where a border is filled


@lru_cache(maxsize=64)
def _plan(spec: Input, height: int, width: int) -> _Plan:
    target = (spec.height, spec.width)
    if spec.resize == "stretch":
        return _Plan(target, (0, 0, *target), None)
    if spec.resize == "letterbox":
        scale = min(spec.height / height, spec.width / width)
        resized = (
            min(spec.height, max(1, round(height * scale))),
            min(spec.width, max(1, round(width * scale))),
        )
        place = ((spec.height - resized[0]) // 2, (spec.width - resized[1]) // 2)
        return _Plan(resized, (0, 0, *resized), None if resized == target else place)
    assert spec.shorter_side is not None
    assert spec.crop is not None
    crop_h, crop_w = spec.crop
    short = min(height, width)
    # torchvision's Resize truncates the longer side, and its CenterCrop rounds half to even.
    resized = (spec.shorter_side * height // short, spec.shorter_side * width // short)
    if resized[0] < crop_h or resized[1] < crop_w:
        cover = max(crop_h / height, crop_w / width)
        resized = (max(crop_h, int(height * cover)), max(crop_w, int(width * cover)))
    cut = (round((resized[0] - crop_h) / 2), round((resized[1] - crop_w) / 2), crop_h, crop_w)
    place = ((spec.height - crop_h) // 2, (spec.width - crop_w) // 2)
    return _Plan(resized, cut, None if spec.crop == target else place)


def as_bgr(frame: Frame) -> Frame:
    """Check a frame and give it three channels.

    Args:
        frame: uint8, (H, W, 3) BGR as OpenCV gives it, or (H, W) or (H, W, 1) grey.

    Raises:
        InputError: another type or shape.
    """
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.size:
        if frame.ndim == 3 and frame.shape[2] == 3:
            return frame
        if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
            return _uint8(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    is_array = isinstance(frame, np.ndarray)
    got = f"{frame.dtype} {frame.shape}" if is_array else type(frame).__name__
    raise InputError(f"a frame of {got}; expected uint8 (H, W, 3), BGR as OpenCV gives it")


def preprocess(frame: Frame, spec: Input) -> Frame:
    """Turn a camera frame into the graph's input.

    Args:
        frame: uint8 (H, W, 3) BGR, any size; grey (H, W) is taken too.
        spec: the manifest's description of the input.

    Returns:
        uint8 (spec.height, spec.width, spec.channels), contiguous, never a view of `frame`.

    Raises:
        InputError: `frame` is not a frame.
    """
    frame = as_bgr(frame)
    plan = _plan(spec, frame.shape[0], frame.shape[1])
    image = _colour(_resize(frame, plan, spec.interpolation), spec.color)
    if spec.invert:
        image = 255 - image
    if plan.place is not None:
        top, left = plan.place
        canvas = np.full((spec.height, spec.width, spec.channels), spec.border, np.uint8)
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
        return canvas
    if image.base is not None and not spec.invert and spec.color != "gray":
        copied: Frame = image.copy()
        return copied
    return np.ascontiguousarray(image)


def graph_input(frame: Frame, spec: Input) -> Frame:
    """What a graph takes of a camera frame: the preprocessed frame, or the frame itself.

    Returns:
        uint8, of the shape `spec.takes`.

    Raises:
        InputError: `frame` is not a frame, or not of the size that the graph was made for.
    """
    if spec.frame is None:
        return preprocess(frame, spec)
    frame = as_bgr(frame)
    if frame.shape[:2] != spec.frame:
        (height, width), (got_h, got_w) = spec.frame, frame.shape[:2]
        raise InputError(
            f"a frame of {got_h}x{got_w}; this graph takes {height}x{width} (height x width) as it"
            " is: set the camera to that, or export without --frame for frames of any size"
        )
    return frame


class Matrices(NamedTuple):
    """What `preprocess` does to frames of one size, for a graph that is to do it itself.

    Whole blocks of pixels are averaged, each channel then becomes rows · channel · columnsᵀ, and
    each pixel mix · pixel.

    Attributes:
        blocks: where they lie, (top, left, how many in a column, how many in a row).
        side: of a block, in pixels.
        rows: float32 (height of the cut, blocks in a column).
        columns: float32 (width of the cut, blocks in a row).
        filter: of rows and columns; `linear` is OpenCV's, `antialias` one of Pillow's, which
            rounds to grey levels between columns and rows.
        mix: float32 (C, 3), of the channels B, G and R.
        place: top and left of the picture, where a border is around it.
    """

    blocks: tuple[int, int, int, int]
    side: int
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]
    filter: Literal["linear", "antialias"]
    mix: NDArray[np.float32]
    place: tuple[int, int] | None


def as_matrices(spec: Input, height: int, width: int) -> Matrices:
    """Read off the matrices from what `preprocess` makes of pictures with one lit line each."""
    plan = _plan(spec, height, width)
    top, left, cut_h, cut_w = plan.cut
    is_linear = spec.interpolation == "area+linear"
    side = _factor((height, width), plan.resized) if is_linear else 1
    blocks = _whole_blocks((height, width), side)

    def lines(count: int, resized: int, start: int, cut: int) -> NDArray[np.float32]:
        """Where each of so many lines goes, one of them lit in each column of a picture."""
        lit = np.eye(count, dtype=np.float32)
        of_lines = _Plan((resized, count), (start, 0, cut, count), None)
        return np.asarray(_resize(lit, of_lines, spec.interpolation), np.float32)

    mix = _colour(np.eye(3, dtype=np.float32)[None], spec.color)[0].T
    return Matrices(
        blocks,
        side,
        lines(blocks[2], plan.resized[0], top, cut_h),
        lines(blocks[3], plan.resized[1], left, cut_w),
        "linear" if is_linear else "antialias",
        np.ascontiguousarray(mix),
        plan.place,
    )


def preprocess_frame(frame: Frame, spec: FrameInput) -> Frame:
    """Turn a camera frame into what a filter takes: another colour, the same size.

    Returns:
        uint8 (H, W, spec.channels), contiguous, which may be `frame` itself.

    Raises:
        InputError: `frame` is not a frame.
    """
    return np.ascontiguousarray(_colour(as_bgr(frame), spec.color))


def _colour(image: Any, color: str) -> Any:
    """(H, W, 3) BGR -> (H, W, C)."""
    if color == "rgb":
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if color == "gray":
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[:, :, None]
    return image


def _resize(frame: NDArray[Any], plan: _Plan, interpolation: str) -> NDArray[Any]:
    """Scale to `plan.resized` and cut: (H, W, 3) -> (cut height, cut width, 3)."""
    top, left, height, width = plan.cut
    if frame.shape[:2] == plan.resized:
        return frame[top : top + height, left : left + width]
    if interpolation != "area+linear":
        return _resize_antialias(frame, plan, interpolation)
    factor = _factor(frame.shape, plan.resized)
    if (plan.resized[0] * factor, plan.resized[1] * factor) == frame.shape[:2]:
        # Whole blocks become pixels, so that only the cut's own blocks need to be averaged.
        part = frame[
            top * factor : (top + height) * factor, left * factor : (left + width) * factor
        ]
        return _uint8(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA))
    small = _decimate(frame, factor)
    if small.shape[:2] != plan.resized:
        size = (plan.resized[1], plan.resized[0])
        # Exact, for the same pixels on every processor: without it OpenCV on ARM rounds otherwise.
        small = _uint8(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR_EXACT))
    return small[top : top + height, left : left + width]


def _factor(size: tuple[int, ...], resized: tuple[int, int]) -> int:
    """The side of the blocks that become pixels before the linear filter; 1 where none do."""
    return max(1, min(size[0] // resized[0], size[1] // resized[1]))


def _whole_blocks(size: tuple[int, ...], factor: int) -> tuple[int, int, int, int]:
    """Top, left, and how many fit into a column and a row, from the middle of the frame."""
    rows, columns = size[0] // factor, size[1] // factor
    return (size[0] - rows * factor) // 2, (size[1] - columns * factor) // 2, rows, columns


def _decimate(frame: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average whole blocks of pixels, so that the linear filter that follows does not alias."""
    if factor < 2:
        return frame
    top, left, rows, columns = _whole_blocks(frame.shape, factor)
    whole = frame[top : top + rows * factor, left : left + columns * factor]
    return _uint8(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))


def _resize_antialias(frame: NDArray[Any], plan: _Plan, interpolation: str) -> NDArray[Any]:
    """Pillow's filters, which torchvision's and timm's weights were trained with.

    Only the cut is computed, from a box of fractional pixels.
    """
    from PIL import Image

    filters = {
        "bilinear-antialias": Image.Resampling.BILINEAR,
        "bicubic-antialias": Image.Resampling.BICUBIC,
    }
    top, left, height, width = plan.cut
    down, across = frame.shape[0] / plan.resized[0], frame.shape[1] / plan.resized[1]
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    # The corners in floating point may pass the frame's edge by a rounding error.
    box = (box[0], box[1], min(box[2], frame.shape[1]), min(box[3], frame.shape[0]))
    image = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(image.resize((width, height), filters[interpolation], box=box))


def _uint8(array: object) -> Frame:
    """OpenCV is typed for every kind of matrix; ours are all uint8."""
    assert isinstance(array, np.ndarray)
    return array
