"""The process that serves: started, fed without ever waiting long, and ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import MissingPackageError
from edgecnn_runtime.machine.pythons import pythons
from edgecnn_runtime.stream.rtsp import serve

PROGRAM = Path(serve.__file__)
PACKAGES = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    " gstreamer1.0-plugins-ugly"
)
STARTING = 30.0  # seconds; each encoder may take five to show that it works
TAKING = 5.0  # seconds in which a picture must be taken
ENDING = 2.0


@dataclass(frozen=True)
class Address:
    """Where pictures are served, and who may see them: everybody where `password` is empty."""

    host: str
    port: int
    path: str
    user: str = ""
    password: str = ""


class ServerProcess:
    """The server as a process of its own: what happens in GStreamer happens there.

    Attributes:
        encoder: the GStreamer element that encodes.
        watched: the mounts that somebody looks at.

    Raises:
        OSError: the port is taken, or it does not start.
        MissingPackageError: GStreamer's RTSP server is not installed.
    """

    def __init__(self, address: Address, fps: int) -> None:
        self.encoder = ""
        self.watched: set[str] = set()
        self._hurried = threading.Event()
        self._sizes: dict[str, tuple[int, int]] = {}
        self._process = self._start(address, fps)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        threading.Thread(target=self._listen, name="edgecnn-rtsp", daemon=True).start()

    def _start(self, address: Address, fps: int) -> subprocess.Popen[bytes]:
        if sys.platform == "win32":  # whose pipes cannot be waited for
            raise MissingPackageError("an rtsp:// sink needs Linux or macOS; take the live page")
        lacks = ""
        for python in pythons():
            process = _spawn(python, address, fps)
            said = _first_line(process)
            if said.startswith("serving "):
                self.encoder = said.split()[1]
                return process
            status = _end(process)
            if status != serve.MISSING:
                raise OSError(said or f"the server does not start, status {status}")
            lacks = f"{python}: {said}"
        raise MissingPackageError(
            f"an rtsp:// sink needs GStreamer's RTSP server ({lacks}):"
            f" sudo apt-get install --no-install-recommends {PACKAGES}"
        )

    def _listen(self) -> None:
        """Follow who watches what."""
        stdout = self._process.stdout
        assert stdout is not None
        with suppress(ValueError, OSError):  # closed meanwhile
            for line in stdout:
                what, _, mount = line.decode().strip().partition(" ")
                (self.watched.add if what == "watched" else self.watched.discard)(mount)

    @property
    def why_ended(self) -> str | None:
        """None while it runs."""
        status = self._process.poll()
        return None if status is None else f"the RTSP server ended with status {status}"

    def announce(self, mount: str, size: tuple[int, int]) -> None:
        """Make a film of (width, height) known, so that somebody can ask for it."""
        if mount not in self._sizes:
            self._sizes[mount] = size
            self._send(mount, b"")

    def show(self, mount: str, picture: NDArray[np.uint8]) -> None:
        """Give a picture, uint8 (H, W, 3) BGR, of the size that was announced.

        Raises:
            OSError: it is not taken. Only `close` may follow.
        """
        self._send(mount, np.ascontiguousarray(picture).data.cast("B"))

    def _send(self, mount: str, picture: bytes | memoryview) -> None:
        width, height = self._sizes[mount]
        head = {"mount": mount, "width": width, "height": height, "bytes": len(picture)}
        end = monotonic() + TAKING
        self._write(memoryview(json.dumps(head).encode() + b"\n"), end)
        self._write(memoryview(picture), end)

    def _write(self, left: memoryview, end: float) -> None:
        """A pipe takes what fits; a server that hangs takes nothing and is not waited for."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLOUT)
        while left:
            if monotonic() > end or self._hurried.is_set():
                raise OSError("the RTSP server takes no picture")
            if poll.poll(100):
                left = left[os.write(self._pipe, left) :]

    def hurry(self) -> None:
        """Wait for nothing any more. From any thread."""
        self._hurried.set()

    def close(self) -> None:
        """End it, gently where it listens. A second call does nothing."""
        _end(self._process)


def _spawn(python: str, address: Address, fps: int) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal is ours, and ends it in its turn.
    process = subprocess.Popen(
        [python, "-I", str(PROGRAM), address.host, str(address.port), str(fps)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdin is not None
    secret = {"user": address.user, "password": address.password}
    with suppress(BrokenPipeError):  # why, its status tells
        process.stdin.write(json.dumps(secret).encode() + b"\n")
    return process


def _first_line(process: subprocess.Popen[bytes]) -> str:
    """What it says first, "" where it says nothing in time."""
    assert process.stdout is not None
    poll = select.poll()
    poll.register(process.stdout.fileno(), select.POLLIN)
    return process.stdout.readline().decode().strip() if poll.poll(1000 * STARTING) else ""


def _end(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()  # which ends it
    try:
        status = process.wait(ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    process.stdout.close()
    return status
