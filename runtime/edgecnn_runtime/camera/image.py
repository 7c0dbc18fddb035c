"""The one reader of image files: for the stream, for the profile and for training data alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.errors import SourceError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")

END = b"\xff\xd9"  # of a JPEG
_JPEG, _PNG, _BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"
_TIFF = (b"II*\0", b"MM\0*")
_NETPBM = re.compile(rb"P[2356]\s")
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))  # JPEG markers without a length
# Inside a scan 0xFF is followed by a zero or a restart mark, or by more of itself before a marker.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def list_images(folder: str | Path) -> list[Path]:
    """The images of one folder, without its subfolders, in natural order: 2.jpg before 10.jpg."""
    files = (p for p in Path(folder).iterdir() if not p.name.startswith("."))
    return natural_order(p for p in files if p.suffix.lower() in IMAGE_SUFFIXES)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths so that numbers in them count as numbers."""
    return sorted(paths, key=_natural_key)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", str(path))
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image file.

    The camera's orientation in EXIF is applied; grey, CMYK, transparent and 16-bit images become
    8-bit colour.

    Returns:
        uint8 (H, W, 3) BGR.

    Raises:
        SourceError: missing, not an image, or truncated: a half image is never returned.
    """
    return decode_image(_read(Path(path)), path)


def decode_image(data: bytes, shown: str | Path) -> NDArray[np.uint8]:
    """As `read_image`, of a file that was read already; `shown` is its name in errors."""
    _check(data, shown)
    with quiet_opencv():
        try:
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:  # larger than OpenCV allows, or a header that contradicts itself
            frame = None
    if frame is None:
        raise SourceError(f"{shown} is damaged: it cannot be decoded; replace or remove it")
    return np.asarray(frame, np.uint8)


def check_image(path: str | Path) -> None:
    """Check that an image file is one and is whole, without decoding it.

    Raises:
        SourceError: missing, not an image, or truncated.
    """
    _check(_read(Path(path)), path)


def decode_jpeg(data: bytes) -> NDArray[np.uint8] | None:
    """A JPEG that a camera sent: uint8 (H, W, 3) BGR, None where it is cut short or damaged."""
    if jpeg_end(data) < 0:
        return None
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # a header that contradicts itself
        return None
    return None if frame is None else np.asarray(frame, np.uint8)


def jpeg_end(data: bytes | bytearray) -> int:
    """Where a JPEG ends, behind its end mark; -1 where that is missing or not what comes next.

    Walks the segments: a thumbnail inside EXIF ends with a mark of its own, and where a picture was
    cut short, the end of the next one may follow.
    """
    if not data.startswith(_JPEG):
        return -1
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker == 0xD8:  # the beginning of another
            return -1
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == 0xDA:
                found = _AFTER_SCAN.search(data, at)
                at = found.start() if found else len(data)
    return -1


def resize_frame(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Stretch a frame to a camera's size: uint8 (H, W, 3) -> (height, width, 3)."""
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = height * width < frame.shape[0] * frame.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"no image at {path}") from None
    except IsADirectoryError:
        raise SourceError(f"{path} is a folder; expected an image") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _check(data: bytes, path: str | Path) -> None:
    if not data:
        raise SourceError(f"{path} is empty; expected an image")
    if data.startswith(_JPEG):
        whole = jpeg_end(data) > 0
    elif data.startswith(_PNG):
        whole = _png_is_whole(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        whole = len(data) >= int.from_bytes(data[4:8], "little") + 8
    elif data.startswith(_BMP):
        whole = len(data) >= int.from_bytes(data[2:6], "little")
    elif data.startswith(_TIFF) or _NETPBM.match(data):
        whole = True  # no end mark: the decoder has to tell
    else:
        raise SourceError(f"{path} is not an image; expected JPEG, PNG, BMP, WebP, TIFF or PNM")
    if not whole:
        raise SourceError(
            f"{path} is truncated after {len(data)} bytes: its end is missing; copy it again"
        )


def _png_is_whole(data: bytes) -> bool:
    at = len(_PNG)
    while at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return at <= len(data)
    return False
