"""The sink behind the live page."""

from __future__ import annotations

from time import monotonic

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.stream.kept_frames import encode_jpeg
from edgecnn_runtime.stream.live import Live
from edgecnn_runtime.stream.overlay import annotate
from edgecnn_runtime.stream.page.server import PageServer, open_server
from edgecnn_runtime.stream.result import Result

LARGEST = 1280  # pixels of the longer side of a picture on the page
FASTEST = 25.0  # pictures a second
QUALITY = 80


class Page:
    """Serve results to browsers. A picture is made only where somebody looks.

    Two kinds of pictures: annotated, for other programs, `/video.mjpg?source=front`, or
    `/video.mjpg` for the first source; and `&plain`, for the page, which has the answer beside it.
    """

    def __init__(self, server: PageServer, *, random_weights: bool = False) -> None:
        self.server = server
        self._random_weights = random_weights
        self._next: dict[str, float] = {}
        self._first: str | None = None

    def write(self, result: Result) -> None:
        """Make the pictures that somebody waits for."""
        now = monotonic()
        if now < self._next.get(result.source, 0):
            return
        self._next[result.source] = now + 0.9 / FASTEST
        self._first = self._first or result.source
        pictures, plain = self.server.pictures, f"plain:{result.source}"
        if pictures.is_watched(plain):
            pictures.publish(plain, encode_jpeg(within(result.shown), QUALITY))
        names = [result.source, ""] if result.source == self._first else [result.source]
        watched = [name for name in names if pictures.is_watched(name)]
        if watched:
            shown = within(result.shown)
            drawn = annotate(shown, result, random_weights=self._random_weights)
            picture = encode_jpeg(drawn, QUALITY)
            for name in watched:
                pictures.publish(name, picture)

    def close(self) -> None:
        """Stop serving."""
        self.server.close()


def open_page(
    live: Live,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    token: str | None = None,
    random_weights: bool = False,
) -> Page:
    """Show a stream on the page at an address, see `open_server`.

    Raises:
        OSError: the port is taken.
    """
    server = open_server(host, port, token)
    server.figures = live.snapshot
    return Page(server, random_weights=random_weights)


def within(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture in a size for the page, uint8 (H, W, 3) BGR."""
    longest = max(picture.shape[:2])
    if longest <= LARGEST:
        return picture
    scale = LARGEST / longest
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
