"""From a URI to a source of frames."""

from __future__ import annotations

import glob
import os
import re
from functools import partial
from pathlib import Path

from edgecnn_runtime.camera.files import ImageSource, VideoSource
from edgecnn_runtime.camera.image import IMAGE_SUFFIXES, list_images, natural_order
from edgecnn_runtime.camera.live import CameraSource, connect_camera
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.errors import InputError, SourceError

__all__ = ["Captured", "Source", "expand", "is_live", "open_source", "redacted", "split_name"]

TAKEN = "a camera number, /dev/videoN, a video file, an image, a folder or a glob of images"

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DEVICE = re.compile(r"/dev/video(\d+)")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)")
_GLOB = re.compile(r"[*?[]")


def expand(text: str) -> str:
    """Put environment variables in the place of `${NAME}`.

    Raises:
        InputError: one is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise InputError(f"${{{name}}} is named in {text!r} but not set: export {name}=...")
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def redacted(uri: str) -> str:
    """A URI as it may be printed: user, password and query are left out."""
    without_user = re.sub(r"(?<=://)[^/]*@", "***@", uri)
    return re.sub(r"(?<=\?).*", "***", without_user) if "://" in uri else without_user


def split_name(text: str) -> tuple[str | None, str]:
    """`NAME=URI` -> (NAME, URI); a URI alone -> (None, URI). An existing file is never split."""
    match = _NAMED.fullmatch(text)
    if match is None or Path(text).exists():
        return None, text
    return match[1], match[2]


def open_source(uri: int | str | Path, *, name: str | None = None) -> Source:
    """Open what a URI names.

    Args:
        uri: a camera's number, `/dev/videoN`, a video file, an image, a folder of images or a glob
            of them; may hold `${ENV}`.
        name: for people and records; by default the file's or the device's.

    Raises:
        SourceError: it is absent, cannot be opened, or is of a kind that this version cannot read.
    """
    text = str(uri)
    plain = expand(text)
    if not plain:
        raise SourceError(f"the source is empty; expected {TAKEN}")
    scheme = _SCHEME.match(plain)
    if scheme and scheme[1] == "browser":
        from edgecnn_runtime.stream.page.browser import open_browser

        return open_browser(plain, name=name)
    if scheme:
        raise SourceError(
            f"{redacted(text)!r}: {scheme[1]}:// is not read by this version; expected {TAKEN}"
        )
    number = _camera_number(plain)
    if number is not None:
        kind = "camera" if plain.isdecimal() else "video"
        return CameraSource(name or f"{kind}{number}", partial(connect_camera, number))
    # A name made from the expanded text could show what the variable was meant to hide.
    return _open_file(Path(plain).expanduser(), name or Path(text).name or text)


def is_live(uri: int | str | Path) -> bool:
    """Whether a URI names a camera, whose frames come at their own pace. Opens nothing."""
    plain = expand(str(uri))
    return plain.startswith("browser://") or _camera_number(plain) is not None


def _camera_number(plain: str) -> int | None:
    device = _DEVICE.fullmatch(plain)
    number = device[1] if device else plain
    return int(number) if number.isdecimal() else None


def _open_file(path: Path, name: str) -> Source:
    if path.is_dir():
        images = list_images(path)
        if not images:
            raise SourceError(f"{path} has no image in it; expected {', '.join(IMAGE_SUFFIXES)}")
        return ImageSource(images, name)
    if not path.exists():
        if not _GLOB.search(str(path)):
            raise SourceError(f"no such source: {path}; expected {TAKEN}")
        found = (Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207  # absolute too
        images = natural_order(p for p in found if p.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise SourceError(f"no image matches {path}; expected {', '.join(IMAGE_SUFFIXES)}")
        return ImageSource(images, name)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], name)
    return VideoSource(path, name)
