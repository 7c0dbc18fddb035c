"""From a URI to a source of frames."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from edgecnn_runtime.camera.adjusted import LoopedSource, adjusted
from edgecnn_runtime.camera.connection import Capture
from edgecnn_runtime.camera.device import connect_camera
from edgecnn_runtime.camera.ffmpeg import connect_rtsp
from edgecnn_runtime.camera.files import FrameSource, ImageSource, VideoSource
from edgecnn_runtime.camera.gstreamer import connect_pipeline, csi_pipeline, whole_pipeline
from edgecnn_runtime.camera.image import IMAGE_SUFFIXES, decode_image, list_images, natural_order
from edgecnn_runtime.camera.live import CameraSource
from edgecnn_runtime.camera.mjpeg import connect_mjpeg, request
from edgecnn_runtime.camera.screen import connect_screen
from edgecnn_runtime.camera.settings import Settings, settings_in_query
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.synthetic import open_synthetic
from edgecnn_runtime.camera.uri import camera_number, expand, redacted, scheme_of, split_name
from edgecnn_runtime.camera.worth import FrameCheck
from edgecnn_runtime.errors import SourceError, one_line

__all__ = ["Captured", "Source", "expand", "is_live", "open_source", "redacted", "split_name"]

TAKEN = (
    "a camera number, /dev/videoN, csi://N, rtsp://..., http://..., screen://, a GStreamer"
    " pipeline, a video file, an image, a folder or a glob of images"
)
QUEUE = 32  # frames of a live source that wait where every one is wanted

_GLOB = re.compile(r"[*?[]")
_VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".ts", ".mpg", ".mpeg")


def open_source(
    uri: int | str | Path,
    *,
    name: str | None = None,
    settings: Settings | None = None,
    later: bool = False,
) -> Source:
    """Open what a URI names.

    Args:
        uri: see `TAKEN`; may hold `${ENV}`. Behind a camera's number, `/dev/videoN`, `csi://N`,
            `screen://` and `synthetic://` stand settings of its own, which come before the others:
            `0?size=640x480&fps=30&rotate=180`.
        name: for people and records; by default the file's or the device's.
        later: a live source is opened when it is first read, and waited for where it is absent.

    Raises:
        SourceError: it is absent, cannot be opened, or is of a kind that this version cannot read.
    """
    text, settings = str(uri), settings or Settings()
    plain = expand(text)
    if not plain:
        raise SourceError(f"the source is empty; expected {TAKEN}")
    if is_live(text):
        scheme = scheme_of(plain)
        how = _LIVE[scheme] if scheme else _pipeline if " ! " in plain else _numbered
        return how(_Asked(plain, redacted(text), name, settings, later))

    def again() -> Source:
        # A name made from the expanded text could show what the variable was meant to hide.
        return _open_file(plain, text, name or Path(redacted(text)).name or text, settings)

    return adjusted(LoopedSource(again) if settings.loop else again(), settings)


def is_live(uri: int | str | Path) -> bool:
    """Whether a URI names something whose frames come at their own pace. Opens nothing."""
    plain = expand(str(uri))
    scheme = scheme_of(plain)
    if scheme in ("http", "https"):
        return _suffix(plain) not in (*IMAGE_SUFFIXES, *_VIDEO_SUFFIXES)
    if scheme is not None:
        return scheme in _LIVE
    return camera_number(_device(plain)[0]) is not None or " ! " in plain


def _device(plain: str) -> tuple[str, str]:
    """What stands before and behind a question mark."""
    before, _, query = plain.partition("?")
    return before, query


def _suffix(uri: str) -> str:
    return PurePosixPath(urlsplit(uri).path).suffix.lower()


class _Asked(NamedTuple):
    """A live source that is wanted: its URI, the same as it may be printed, and what to make."""

    plain: str
    shown: str
    name: str | None
    settings: Settings
    later: bool

    def camera(
        self,
        name: str,
        connect: Callable[[], Capture],
        *,
        check: FrameCheck | None = None,
        age_from: Literal["capture", "arrival"] = "arrival",
    ) -> Source:
        """A camera that is found again, under the name that was asked for or else this one."""
        source = CameraSource(
            self.name or name,
            connect,
            patience=self.settings.patience,
            later=self.later,
            age_from=age_from,
            check=check,
            depth=QUEUE if self.settings.every_frame else 1,
        )
        return adjusted(source, self.settings)

    def device(self) -> tuple[int, _Asked]:
        """The number that the URI names, and this with the settings behind the question mark."""
        before, query = _device(self.plain)
        number = before.partition("://")[2].strip("/") or "0" if "://" in before else before
        if (found := camera_number(number)) is None:
            raise SourceError(f"{self.shown!r} names no number; expected {scheme_of(before)}://N")
        return found, self._replace(settings=settings_in_query(query, self.settings))


def _rtsp(asked: _Asked) -> Source:
    # A codec repeats a picture where nothing moves.
    check = FrameCheck(asked.name or asked.shown, repeats=True)
    connect = partial(connect_rtsp, asked.plain, asked.shown, asked.settings)
    return asked.camera(asked.shown, connect, check=check)


def _mjpeg(asked: _Asked) -> Source:
    return asked.camera(
        asked.shown, partial(connect_mjpeg, asked.plain, asked.shown, asked.settings)
    )


def _pipeline(asked: _Asked) -> Source:
    name = asked.name or "pipeline"
    connect = partial(connect_pipeline, whole_pipeline(asked.plain), name, asked.settings.patience)
    return asked.camera(name, connect, check=FrameCheck(name, repeats=True))


def _csi(asked: _Asked) -> Source:
    number, asked = asked.device()
    pipeline = csi_pipeline(number, asked.settings)
    connect = partial(connect_pipeline, pipeline, f"csi://{number}", asked.settings.patience)
    return asked.camera(f"csi{number}", connect)


def _screen(asked: _Asked) -> Source:
    number, asked = asked.device()
    check = FrameCheck(asked.name or "screen", repeats=True, blank=True)
    connect = partial(connect_screen, number, asked.settings.fps)
    return asked.camera("screen", connect, check=check, age_from="capture")


def _synthetic(asked: _Asked) -> Source:
    return open_synthetic(_device(asked.plain)[1], asked.name or "synthetic", asked.settings)


def _numbered(asked: _Asked) -> Source:
    number, asked = asked.device()
    kind = "video" if asked.plain.startswith("/") else "camera"
    return asked.camera(f"{kind}{number}", partial(connect_camera, number, asked.settings))


def _browser(asked: _Asked) -> Source:
    from edgecnn_runtime.stream.page.browser import open_browser

    return adjusted(open_browser(asked.plain, name=asked.name), asked.settings)


# What stands before :// -> how a live source of that kind is opened.
_LIVE: dict[str, Callable[[_Asked], Source]] = {
    "rtsp": _rtsp,
    "rtsps": _rtsp,
    "http": _mjpeg,
    "https": _mjpeg,
    "browser": _browser,
    "csi": _csi,
    "screen": _screen,
    "synthetic": _synthetic,
}


def _open_http_file(uri: str, shown: str, name: str, settings: Settings) -> Source:
    if _suffix(uri) not in IMAGE_SUFFIXES:
        return VideoSource(
            uri, name, shown=shown, decoder=settings.decoder, patience=settings.patience
        )
    with request(uri, shown, settings.patience.open_timeout) as response:
        try:
            content = response.read()
        except (OSError, HTTPException) as error:
            raise SourceError(f"{shown} breaks off: {one_line(error)}") from None
    return FrameSource(decode_image(content, shown), name)


def _open_file(plain: str, text: str, name: str, settings: Settings) -> Source:
    scheme = scheme_of(plain)
    if scheme in ("http", "https"):
        return _open_http_file(plain, redacted(text), name, settings)
    if scheme is not None:
        raise SourceError(
            f"{redacted(text)!r}: {scheme}:// is not read by this version; expected {TAKEN}"
        )
    path = Path(plain).expanduser()
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
    return VideoSource(path, name, decoder=settings.decoder)
