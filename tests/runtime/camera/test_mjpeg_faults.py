"""Twenty faults of an HTTP camera, in turn drawn by a seed, under the whole loop."""

from __future__ import annotations

import random
import resource
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter_ns

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera import patience
from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.synthetic import CODE, burn, burned
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.loop import Stream

LOSSES = ("stall", "close", "refusal", "restart")
KINDS = (*LOSSES, "half a picture", "other size")
FAULTS = 20
BETWEEN = 5  # whole pictures between two faults
SIZES = ((320, 240), (400, 304))


class Camera:
    """An HTTP server at one port; plays whole pictures and, between them, its faults."""

    def __init__(self, photograph: NDArray[np.uint8], seed: int) -> None:
        chooser = random.Random(seed)
        self.faults = [*KINDS, *chooser.choices(KINDS, k=FAULTS - len(KINDS))]
        chooser.shuffle(self.faults)
        self.done: list[str] = []
        self.last_ns: int | None = None  # when the last fault was over
        self.refusals = self.connections = 0
        self.is_large = False
        self._pictures = [cv2.resize(photograph, size) for size in SIZES]
        self._changed = threading.Condition()
        self._restarts: list[threading.Thread] = []
        self._listen(0)

    def _listen(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Player)
        self._server.daemon_threads = True
        self._server.camera = self  # type: ignore[attr-defined]
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def picture(self) -> bytes:
        """A JPEG that tells in its first and in its last corner when it was made."""
        frame = self._pictures[self.is_large].copy()
        now_ns = perf_counter_ns()
        for corner in (frame, frame[-CODE[0] :, -CODE[1] :]):
            burn(corner, now_ns)  # type: ignore[arg-type]
        return bytes(cv2.imencode(".jpg", frame)[1])

    def connected(self) -> None:
        with self._changed:
            self.connections += 1
            self._changed.notify_all()

    def wait_for_another(self) -> None:
        """Until the reader has given up and is back."""
        with self._changed:
            number = self.connections
            assert self._changed.wait_for(lambda: self.connections > number, 30)

    def restart(self) -> None:
        """Go away and come back at the same port."""
        self._restarts.append(threading.Thread(target=self._restart))
        self._restarts[-1].start()

    def _restart(self) -> None:
        self._stop_listening()
        threading.Event().wait(0.1)
        self._listen(self.port)

    def _stop_listening(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def stop(self) -> None:
        for restart in self._restarts:
            restart.join()
        self._stop_listening()


class Player(BaseHTTPRequestHandler):
    """One connection to the camera."""

    def do_GET(self) -> None:  # http.server's name
        camera: Camera = self.server.camera  # type: ignore[attr-defined]
        self.close_connection = True
        if camera.refusals:
            camera.refusals -= 1
            self.send_error(503)
            return
        camera.connected()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            while self._play(camera):
                pass
        except OSError:  # the reader is gone
            pass

    def _play(self, camera: Camera) -> bool:
        """Some pictures and a fault; whether the connection goes on."""
        for _ in range(BETWEEN):
            self._send(camera.picture())
            threading.Event().wait(0.01)
        if not camera.faults:
            camera.last_ns = camera.last_ns or perf_counter_ns()
            return True
        fault = camera.faults.pop()
        camera.done.append(fault)
        picture = camera.picture()
        if fault == "half a picture":
            self._send(picture[: len(picture) // 2])
        elif fault == "other size":
            camera.is_large = not camera.is_large
        elif fault == "stall":
            self._begin(len(picture))
            self.wfile.write(picture[: len(picture) // 2])
            camera.wait_for_another()
        elif fault == "refusal":
            camera.refusals = 2
        elif fault == "restart":
            camera.restart()
        return fault not in LOSSES

    def _begin(self, length: int) -> None:
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
        self.wfile.write(head.encode())

    def _send(self, jpeg: bytes) -> None:
        self._begin(len(jpeg))
        self.wfile.write(jpeg + b"\r\n")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def camera(photographs: dict[str, NDArray[np.uint8]]) -> Iterator[Camera]:
    made = Camera(photographs["coffee"], seed=6)
    yield made
    made.stop()


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def settled(what: str, wanted: int, count: object) -> None:
    """Wait until connections that are closed have also ended."""
    for _ in range(200):
        if count() <= wanted:  # type: ignore[operator]
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{count()} {what}, there were {wanted}")  # type: ignore[operator]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads Linux's /proc")
def test_twenty_faults_are_survived_without_a_half_or_stale_frame_and_nothing_grows(
    camera: Camera, classify: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.02)
    threads, opened = threading.active_count(), descriptors()
    settings = settings_of({"stall": 0.5})
    source = open_source(f"http://127.0.0.1:{camera.port}/video", settings=settings)
    made: list[int] = []
    warm_mb, sizes = 0.0, set()
    for result in Stream(classify, source):
        first = burned(result.frame)
        assert first is not None, "a frame that is not whole"
        assert first == burned(result.frame[-CODE[0] :, -CODE[1] :]), "two halves"
        made.append(first)
        sizes.add(result.frame.shape[:2])
        if not warm_mb and len(camera.done) >= 5:
            warm_mb = resident_mb()
        if camera.last_ns is not None and first > camera.last_ns:
            break
    assert len(camera.done) == FAULTS
    assert set(camera.done) == set(KINDS)
    assert made == sorted(set(made)), "an older frame after a newer one"
    # A machine that stands still for half a second makes it one more.
    assert source.reconnects >= sum(fault in LOSSES for fault in camera.done)
    assert 0 < source.errors <= camera.done.count("half a picture")
    assert sizes == {(height, width) for width, height in SIZES}
    assert resident_mb() < warm_mb + 20
    settled("threads", threads, threading.active_count)
    settled("descriptors", opened, descriptors)
