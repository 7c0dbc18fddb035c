"""The sink behind `rtsp://`."""

from __future__ import annotations

import logging
import re
import secrets
import socket
from time import monotonic
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.stream.overlay import annotate
from edgecnn_runtime.stream.page.access import is_loopback
from edgecnn_runtime.stream.page.writer import within
from edgecnn_runtime.stream.recording import even, fitted
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.retries import Retries
from edgecnn_runtime.stream.rtsp.process import Address, ServerProcess

log = logging.getLogger("edgecnn")

FASTEST = 30  # pictures a second
USER = "edgecnn"


class Rtsp:
    """Serve annotated results over RTSP. Pictures are made and encoded only where somebody looks.

    The first source is at the address' path, and each at `PATH/NAME`. The server is a process of
    its own, started again after growing pauses where it dies or hangs.

    Args:
        address: without a password, others than this machine's programs get one that is made here.
        fps: of the sources; no more than `FASTEST` are shown.

    Raises:
        OSError: the port is taken.
        MissingPackageError: GStreamer's RTSP server is not installed.
    """

    def __init__(
        self, address: Address, *, fps: float | None = None, random_weights: bool = False
    ) -> None:
        self.address = _guarded(address)
        self._fps = max(1, min(FASTEST, round(fps or 25)))
        self._random_weights = random_weights
        self._retries = Retries()
        self._first: str | None = None
        self._sizes: dict[str, tuple[int, int]] = {}  # (width, height) of each source's film
        self._next: dict[str, float] = {}
        self._server: ServerProcess | None = ServerProcess(self.address, self._fps)
        log.warning("rtsp: %s", self.url)

    @property
    def url(self) -> str:
        """Where to look, with the password where it was made here."""
        at = self.address
        host = socket.gethostname() if at.host in ("0.0.0.0", "::") else at.host
        shown = f"[{host}]" if ":" in host else host
        login = f"{USER}:{quote(at.password)}@" if at.user == USER and at.password else ""
        return f"rtsp://{login}{shown}:{at.port}{at.path}"

    def write(self, result: Result) -> None:
        """Show a result to those who watch its source.

        Raises:
            UndeliveredError: the server is away.
        """
        now = monotonic()
        if now < self._next.get(result.source, 0):
            return
        self._next[result.source] = now + 0.9 / self._fps
        self._first = self._first or result.source
        self._retries.deliver(lambda: self._show(result))

    def _show(self, result: Result) -> None:
        server = self._running()
        mounts = self._mounts(result.source)
        if result.source not in self._sizes:
            self._sizes[result.source] = even(self._annotated(result))
        size = self._sizes[result.source]
        try:
            for mount in mounts:
                server.announce(mount, size)
            watched = [mount for mount in mounts if mount in server.watched]
            picture = fitted(self._annotated(result), size) if watched else result.shown
            for mount in watched:
                server.show(mount, picture)
        except OSError as error:
            self._server = None
            server.close()
            raise OSError(server.why_ended or str(error)) from error

    def _running(self) -> ServerProcess:
        server, self._server = self._server, None
        if server is not None and (why := server.why_ended) is not None:
            server.close()
            raise OSError(why)
        self._server = server or ServerProcess(self.address, self._fps)
        return self._server

    def _mounts(self, source: str) -> list[str]:
        base = self.address.path
        own = f"{base}/{re.sub('[^A-Za-z0-9._-]+', '-', source)}"
        return [base, own] if source == self._first else [own]

    def _annotated(self, result: Result) -> NDArray[np.uint8]:
        return annotate(within(result.shown), result, random_weights=self._random_weights)

    def hurry(self) -> None:
        self._retries.hurry()
        if (server := self._server) is not None:
            server.hurry()

    def close(self) -> None:
        """Stop serving."""
        server, self._server = self._server, None
        if server is not None:
            server.close()


def _guarded(address: Address) -> Address:
    """With a password where others can reach it."""
    if address.password or is_loopback(address.host):
        return address
    password = secrets.token_urlsafe(16)
    return Address(address.host, address.port, address.path, USER, password)
