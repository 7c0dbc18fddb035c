"""The camera of whoever opens the page, as a source: for laptops, WSL and headless boxes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from time import monotonic, perf_counter_ns
from typing import Literal, NamedTuple

from edgecnn_runtime.camera.image import decode_jpeg
from edgecnn_runtime.camera.quiet import quiet_opencv
from edgecnn_runtime.camera.source import Captured
from edgecnn_runtime.stream.page.server import open_server

PORT = 8080
SILENCE = 3.0  # seconds after which a browser counts as gone
OLDEST_NS = 10 * 10**9  # of a capture time that is believed


class _Sent(NamedTuple):
    data: bytes
    stamp_ns: int
    utc: datetime


@dataclass(frozen=True)
class CameraState:
    """What the page shows of the camera that is sent."""

    name: str
    frames: int


class BrowserSource:
    """Frames that a browser posts as JPEG to the page's server.

    The browser stamps a frame when its camera gives it. Its clock is set against ours by exchanges
    of a few bytes, of which the quickest counts: the stamp is right to within half of its time
    there and back, a millisecond on one machine. Only the newest frame waits; `read` waits for as
    long as no browser sends any.

    Args:
        host: that the page is served on; a browser gives its camera only to a page of its own
            machine, or to one behind https.

    Raises:
        OSError: the port is taken.
    """

    is_live = True
    age_from: Literal["capture", "arrival"] = "capture"

    def __init__(
        self, port: int = PORT, *, host: str = "127.0.0.1", name: str | None = None
    ) -> None:
        self.name = name or "browser"
        self.fps: float | None = None
        self.reconnects = self.errors = self.dropped = 0
        self._index = self._received = 0
        self._newest: _Sent | None = None
        self._sender: str | None = None
        self._heard = 0.0
        self._stopped = self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self.server = open_server(host, port)
        self.server.camera = lambda: CameraState(self.name, self._received)
        self.server.acts["/camera"] = self._receive
        self.server.acts["/clock"] = lambda query, body: {"ms": perf_counter_ns() / 1e6}

    def _receive(self, query: dict[str, str], body: bytes) -> object:
        """One frame: `from` names the browser, `ms` is when it was captured, by our clock."""
        arrived, utc = perf_counter_ns(), datetime.now(timezone.utc)
        sender = query.get("from", "")
        with self._changed:
            self._admit(sender)
            stamp = _stamp(query.get("ms"), arrived)
            self.dropped += self._newest is not None
            self._newest = _Sent(body, stamp, utc - timedelta(microseconds=(arrived - stamp) / 1e3))
            self._received += 1
            self._changed.notify_all()
        return {"frames": self._received}

    def _admit(self, sender: str) -> None:
        silent = monotonic() - self._heard > SILENCE
        if self._sender is not None and sender != self._sender and not silent:
            raise ValueError("another browser is sending its camera")
        if self._sender is not None and silent:
            self.reconnects += 1
        self._sender, self._heard = sender, monotonic()

    def read(self) -> Captured | None:
        """The newest frame, once there is one; None after `stop`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._newest is not None)
                sent, self._newest = self._newest, None
                if self._stopped or sent is None:
                    return None
            with quiet_opencv():
                frame = decode_jpeg(sent.data)
            if frame is not None:
                self._index += 1
                return Captured(frame, sent.stamp_ns, sent.utc, self._index - 1)
            self.errors += 1

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more frames. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.server.camera = None
        for path in ("/camera", "/clock"):
            self.server.acts.pop(path, None)
        self.server.close()


def _stamp(ms: str | None, arrived: int) -> int:
    """The browser's capture time where it can be true, or else the arrival."""
    try:
        stamp = round(float(ms or "nan") * 1e6)
    except (ValueError, OverflowError):
        return arrived
    return min(stamp, arrived) if stamp > arrived - OLDEST_NS else arrived


def open_browser(uri: str, *, name: str | None = None) -> BrowserSource:
    """`browser://`, `browser://PORT` or `browser://HOST:PORT`.

    Raises:
        SourceError: the port is taken, or none.
    """
    from edgecnn_runtime.errors import SourceError

    host, port = browser_address(uri)
    try:
        return BrowserSource(port, host=host, name=name)
    except OSError as error:
        raise SourceError(f"{uri}: {error.strerror}; name another port") from error


def browser_address(uri: str) -> tuple[str, int]:
    """Host and port of a `browser://` source.

    Raises:
        SourceError: the port is no number.
    """
    from edgecnn_runtime.errors import SourceError

    rest = uri.partition("://")[2].rstrip("/")
    host, _, number = rest.rpartition(":")
    if not (number or str(PORT)).isdecimal():
        raise SourceError(f"{uri}: {number!r} is no port; expected browser://PORT")
    return host or "127.0.0.1", int(number or PORT)
