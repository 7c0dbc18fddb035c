"""A session of collecting photographs: a source, a collector, and whoever switches the class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Protocol

import cv2

from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.collecting import Collector
from edgecnn_runtime.stream.kept_frames import encode_jpeg
from edgecnn_runtime.stream.page.server import open_server
from edgecnn_runtime.stream.page.writer import FASTEST, QUALITY, within

QUIT = ("q", "\x1b")
PAUSE = (" ", "0")


class View(Protocol):
    """Shows what the source gives."""

    def show(self, captured: Captured) -> None: ...
    def close(self) -> None: ...


class Keys:
    """What a key does: a digit chooses a class, space pauses, q ends."""

    def __init__(
        self, collector: Collector, classes: Sequence[str], stop: Callable[[], None]
    ) -> None:
        self._collector, self._classes, self._stop = collector, classes, stop

    def press(self, key: str) -> None:
        """From any thread. A key without a meaning does nothing."""
        if key in QUIT:
            self._stop()
        elif key in PAUSE:
            self._collector.choose(None)
        elif key.isdecimal() and int(key) <= len(self._classes):
            self._collector.choose(self._classes[int(key) - 1])

    @property
    def help(self) -> str:
        classes = "  ".join(f"{i} {name}" for i, name in enumerate(self._classes[:9], 1))
        return f"{classes}  space pause  q quit"


class CapturePage:
    """The page with buttons.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, collector: Collector, source: str, port: int, host: str = "127.0.0.1"
    ) -> None:
        self._collector, self._source, self._next = collector, source, 0.0
        self.server = open_server(host, port)
        self.server.capture = collector.state
        self.server.acts["/class"] = self._choose

    def _choose(self, query: dict[str, str], body: bytes) -> object:
        self._collector.choose(query.get("name") or None)
        return self._collector.state()

    def show(self, captured: Captured) -> None:
        pictures, name = self.server.pictures, f"plain:{self._source}"
        if monotonic() >= self._next and pictures.is_watched(name):
            self._next = monotonic() + 0.9 / FASTEST
            pictures.publish(name, encode_jpeg(within(captured.frame), QUALITY))

    def close(self) -> None:
        self.server.close()


class CaptureWindow:
    """The window; its keys are those of the terminal. For the main thread alone."""

    TITLE = "edgecnn capture"

    def __init__(self, collector: Collector, keys: Keys) -> None:
        self._collector, self._keys, self._shown = collector, keys, False
        cv2.namedWindow(self.TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)

    def show(self, captured: Captured) -> None:
        """Show a frame and what is kept; closing the window is as good as q."""
        if self._shown and cv2.getWindowProperty(self.TITLE, cv2.WND_PROP_VISIBLE) < 1:
            self._keys.press("q")
            return
        self._shown = True
        state = self._collector.state()
        counts = "  ".join(f"{c.name} {c.kept}" for c in state.classes)
        picture = captured.frame.copy()
        for row, text in enumerate((state.current or "pause", counts, self._keys.help)):
            at = (12, 28 + 26 * row)
            for color, weight in (((0, 0, 0), 4), ((255, 255, 255), 1)):
                cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, color, weight)
        cv2.imshow(self.TITLE, picture)
        key = cv2.pollKey() & 0xFF
        if key != 0xFF:
            self._keys.press(chr(key))

    def close(self) -> None:
        cv2.destroyAllWindows()


def collect(
    source: Source,
    collector: Collector,
    *,
    views: Sequence[View] = (),
    on_frame: Callable[[], None] = lambda: None,
    frames: int | None = None,
) -> None:
    """Offer every frame of a source to a collector until the source ends or is stopped.

    Of a file time is that of its film, not that of reading it.

    Raises:
        InputError: a file without a class to begin with, which would be over before any key.
        OSError: the disk is full.
    """
    if not source.is_live and collector.state().current is None:
        raise InputError("a file does not wait for a key; say which class it shows: --begin CLASS")
    given = 0
    while (frames is None or given < frames) and (captured := source.read()) is not None:
        given += 1
        collector.offer(captured, _seconds(source, captured))
        for view in views:
            view.show(captured)
        on_frame()


def _seconds(source: Source, captured: Captured) -> float:
    if source.is_live:
        return captured.stamp_ns / 1e9
    # Images of a folder have no time between them: any `--every` lets them all through.
    return captured.index * 1e6 if captured.film_s is None else captured.film_s
