"""MJPEG over HTTP, part by part: half a picture is refused and a new size is noticed."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.camera.image import END, decode_jpeg, jpeg_end
from edgecnn_runtime.camera.settings import Settings
from edgecnn_runtime.errors import SourceError, one_line

LARGEST = 64 << 20  # bytes of a part: what is larger is no picture
_CHUNK = 1 << 16
_LONGEST_HEADER = 1 << 16
_LENGTH = re.compile(rb"(?i)content-length:[ \t]*(\d{1,12})\r?\n")
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")


def connect_mjpeg(uri: str, shown: str, settings: Settings) -> MjpegCapture:
    """Open an HTTP stream of JPEG pictures.

    Args:
        uri: with user and password where it needs them; basic and digest are spoken.
        shown: the same as it may be printed.

    Raises:
        SourceError: nothing answers, it refuses, or it gives something else than MJPEG.
    """
    response = request(uri, shown, settings.patience.open_timeout)
    kind = response.headers.get_content_type()
    boundary = response.headers.get_param("boundary")
    if not kind.startswith("multipart/") or not isinstance(boundary, str):
        response.close()
        raise SourceError(
            f"{shown} gives {kind}; expected MJPEG (multipart/x-mixed-replace), or a name that"
            " ends as a video or an image does"
        )
    # From now on a pause is what `--stall` says; the connection's own thread may wait that long.
    _set_timeout(response, settings.patience.stall)
    return MjpegCapture(response, boundary.strip('"'))


def request(uri: str, shown: str, seconds: float) -> HTTPResponse:
    """Ask for a URI.

    Raises:
        SourceError: nothing answers, or it refuses.
    """
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit(parts._replace(netloc=host))
    handlers: list[urllib.request.BaseHandler] = []
    if parts.username is not None:
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, plain, unquote(parts.username), unquote(parts.password or ""))
        handlers = [
            urllib.request.HTTPBasicAuthHandler(known),
            urllib.request.HTTPDigestAuthHandler(known),
        ]
    try:
        opener = urllib.request.build_opener(*handlers)
        return cast(HTTPResponse, opener.open(plain, timeout=seconds))
    except urllib.error.HTTPError as error:
        error.close()
        refused = error.code in (401, 403)
        more = ": the user or the password is wrong" if refused else f" ({error.reason})"
        raise SourceError(f"{shown} answers {error.code}{more}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or one_line(cast(BaseException, reason))
        raise SourceError(f"{shown} does not answer: {why}") from None


def _set_timeout(response: HTTPResponse, seconds: float) -> None:
    """Of the socket below, which `http.client` has no public way to reach."""
    socket = getattr(getattr(response.fp, "raw", None), "_sock", None)
    if socket is not None:
        socket.settimeout(seconds)


class MjpegCapture:
    """The whole pictures of an opened stream; what is cut short is given as none."""

    def __init__(self, response: HTTPResponse, boundary: str) -> None:
        self._response = response
        # Servers write the dashes into the boundary, or not.
        self._boundary = b"--" + boundary.encode("latin-1").lstrip(b"-")
        self._part: bytes | None = None
        self._buffer = bytearray()

    def grab(self) -> bool:
        """Read one part; False at the end of the stream, or where it pauses for too long."""
        try:
            self._part = self._next_part()
        except (OSError, HTTPException):
            self._part = None
        return self._part is not None

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Decode it; False where it is no whole picture."""
        frame = decode_jpeg(self._part or b"")
        return frame is not None, frame

    def get(self, prop: int, /) -> float:
        return 0.0  # MJPEG announces nothing

    def release(self) -> None:
        self._response.close()

    def _next_part(self) -> bytes | None:
        while (at := self._buffer.find(self._boundary)) < 0:
            del self._buffer[: -len(self._boundary)]
            if not self._fill():
                return None
        del self._buffer[: at + len(self._boundary)]
        while (end := _END_OF_HEADER.search(self._buffer)) is None:
            if len(self._buffer) > _LONGEST_HEADER or not self._fill():
                return None
        header = self._take(end.end())
        length = _LENGTH.search(header)
        return self._body(int(length[1])) if length else self._body_without_length()

    def _body(self, length: int) -> bytes | None:
        while len(self._buffer) < length:
            if length > LARGEST or not self._fill():
                return None
        # A server that broke off in the middle of a picture goes on with the next part.
        cut = self._buffer.find(self._boundary, 0, length)
        return self._take(length if cut < 0 else cut)

    def _body_without_length(self) -> bytes | None:
        """Up to the picture's own end: the boundary that tells it may come with the next one."""
        while True:
            cut = self._buffer.find(self._boundary)
            if cut >= 0:
                return self._take(cut)
            if self._buffer.rstrip(b"\r\n").endswith(END) and (end := jpeg_end(self._buffer)) > 0:
                return self._take(end)
            if len(self._buffer) > LARGEST or not self._fill():
                return None

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def _fill(self) -> bool:
        more = self._response.read1(_CHUNK)
        self._buffer += more
        return bool(more)
