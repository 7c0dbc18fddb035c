"""A real HTTP server on loopback that stalls, sends half a picture, changes its size."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.sources import is_live, open_source
from edgecnn_runtime.camera.synthetic import burn, burned
from edgecnn_runtime.errors import SourceError

Play = Callable[["Handler"], None]
AUTHORIZATION = "Basic " + base64.b64encode(b"me:s3cret").decode()


class Handler(BaseHTTPRequestHandler):
    """Plays, for each request, the next part of a script."""

    server: Any

    def do_GET(self) -> None:  # http.server's name
        if self.server.locked and self.headers["Authorization"] != AUTHORIZATION:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        script = self.server.script
        play = script.pop(0) if len(script) > 1 else script[0]
        try:
            play(self)
        except OSError:  # the reader is gone
            self.close_connection = True

    def begin(self, kind: str = "multipart/x-mixed-replace; boundary=frame") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def send(self, jpeg: bytes, *, length: int | None = None, announced: bool = True) -> None:
        head = f"Content-Length: {length or len(jpeg)}\r\n" if announced else ""
        self.wfile.write(f"--frame\r\nContent-Type: image/jpeg\r\n{head}\r\n".encode())
        self.wfile.write(jpeg + b"\r\n")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve a script on loopback: serve(play, ...) -> URI; the last play is for all that follow."""
    servers = []

    def start(*script: Play, locked: bool = False, path: str = "/video") -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.script, server.locked = list(script), locked  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}{path}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def opened(uri: str, **texts: object) -> Source:
    return open_source(uri, settings=settings_of({"stall": 1, "every_frame": True, **texts}))


def jpeg(photographs: dict[str, NDArray[np.uint8]], width: int = 320, height: int = 240) -> bytes:
    """A photograph that tells when it was made."""
    frame = cv2.resize(photographs["coffee"], (width, height))
    burn(frame, perf_counter_ns())  # type: ignore[arg-type]
    return bytes(cv2.imencode(".jpg", frame)[1])


def ages_ms(frames: list[Captured]) -> list[float]:
    made = [burned(captured.frame) for captured in frames]
    assert None not in made
    return [(c.stamp_ns - (ns or 0)) / 1e6 for c, ns in zip(frames, made, strict=True)]


def take(source: Source, count: int) -> list[Captured]:
    frames = [source.read() for _ in range(count)]
    source.stop()
    source.close()
    return [captured for captured in frames if captured is not None]


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


@pytest.mark.parametrize("announced", [True, False])
def test_pictures_arrive_at_once_with_and_without_their_length(
    serve: Callable[..., str], photographs: dict[str, NDArray[np.uint8]], announced: bool
) -> None:
    def play(to: Handler) -> None:
        to.begin()
        while True:
            to.send(jpeg(photographs), announced=announced)
            pause(0.1)

    source = opened(serve(play))
    assert (source.is_live, source.age_from) == (True, "arrival")
    frames = take(source, 10)
    assert [c.index for c in frames] == list(range(10))
    # 100 ms would be a picture that waited for the next one's boundary.
    assert np.median(ages_ms(frames)) < 50


def test_half_a_picture_is_refused_and_the_next_one_is_whole(
    serve: Callable[..., str], photographs: dict[str, NDArray[np.uint8]]
) -> None:
    def play(to: Handler) -> None:
        to.begin()
        for _ in range(3):
            to.send(jpeg(photographs))
            half = jpeg(photographs)
            to.send(half[: len(half) // 2])
            to.send(half[: len(half) // 3], length=len(half))  # and claims to be whole
            to.send(half[: len(half) // 2], announced=False)
        to.send(jpeg(photographs))
        pause(3)

    source = opened(serve(play))
    frames = take(source, 4)
    assert source.errors == 9
    assert source.reconnects == 0
    for captured in frames:
        difference = (
            captured.frame[40:].astype(int) - cv2.resize(photographs["coffee"], (320, 240))[40:]
        )
        assert np.abs(difference).mean() < 8, "no grey half"


def test_a_stream_that_stalls_or_breaks_off_is_found_again_without_a_stale_frame(
    serve: Callable[..., str],
    photographs: dict[str, NDArray[np.uint8]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = threading.Event()

    def stalls(to: Handler) -> None:
        to.begin()
        to.send(jpeg(photographs))
        to.wfile.write(b"--frame\r\nContent-Length: 5000\r\n\r\n" + jpeg(photographs)[:2000])
        let_go.wait(20)

    def breaks_off(to: Handler) -> None:
        to.begin()
        to.send(jpeg(photographs))
        to.wfile.write(b"--frame\r\nContent-Length: 5000\r\n\r\n" + jpeg(photographs)[:2000])

    source = opened(serve(stalls, breaks_off, stalls, breaks_off))
    frames = take(source, 4)
    let_go.set()
    assert len(frames) == 4
    assert source.reconnects == 3
    assert max(ages_ms(frames)) < 1000
    assert caplog.text.count("is back after") == 3


def test_a_new_size_is_noticed(
    serve: Callable[..., str],
    photographs: dict[str, NDArray[np.uint8]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def play(to: Handler) -> None:
        to.begin()
        for width, height in ((320, 240), (640, 480), (640, 480), (160, 120)):
            to.send(jpeg(photographs, width, height))
        pause(3)

    frames = take(opened(serve(play)), 4)
    assert [c.frame.shape[:2] for c in frames] == [(240, 320), (480, 640), (480, 640), (120, 160)]
    assert caplog.text.count("frames are") == 2


def test_user_and_password_are_sent_and_never_printed(
    serve: Callable[..., str],
    photographs: dict[str, NDArray[np.uint8]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def play(to: Handler) -> None:
        to.begin()
        to.send(jpeg(photographs))
        pause(3)

    uri = serve(play, locked=True)
    monkeypatch.setenv("PASSWORD", "s3cret")
    source = opened(uri.replace("//", "//me:${PASSWORD}@"))
    assert len(take(source, 1)) == 1
    assert source.name == uri.replace("//", "//***@")
    with pytest.raises(SourceError, match="401: the user or the password is wrong") as got:
        opened(uri.replace("//", "//me:wr0ng@"))
    assert "wr0ng" not in str(got.value)


def test_what_is_no_mjpeg_is_one_line(serve: Callable[..., str]) -> None:
    def play(to: Handler) -> None:
        to.begin("text/html")

    with pytest.raises(SourceError, match="gives text/html; expected MJPEG"):
        opened(serve(play))


def test_an_image_and_a_film_are_read_over_http(
    serve: Callable[..., str], clip: Path, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    def image(to: Handler) -> None:
        to.begin("image/jpeg")
        to.wfile.write(jpeg(photographs))

    def film(to: Handler) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(clip.stat().st_size))
        to.end_headers()
        to.wfile.write(clip.read_bytes())

    image_uri, film_uri = serve(image, path="/a.jpg"), serve(film, path="/pan.mp4")
    assert not is_live(image_uri)
    assert len(take(open_source(image_uri), 2)) == 1
    source = open_source(film_uri)
    assert source.name == "pan.mp4"
    assert len(take(source, 41)) == 40


def test_what_breaks_off_over_http_is_one_line_or_said_and_no_half_picture_is_given(
    serve: Callable[..., str],
    photographs: dict[str, NDArray[np.uint8]],
    make_clip: Callable[..., Path],
    pan: list[NDArray[np.uint8]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    film = make_clip(tmp_path / "x.avi", pan).read_bytes()

    def half_of(content: bytes) -> Play:
        def play(to: Handler) -> None:
            to.send_response(200)
            to.send_header("Content-Length", str(len(content)))
            to.end_headers()
            to.wfile.write(content[: len(content) // 2])
            to.close_connection = True

        return play

    with pytest.raises(SourceError, match=r"a\.jpg breaks off: IncompleteRead") as got:
        open_source(serve(half_of(jpeg(photographs)), path="/a.jpg"))
    assert "\n" not in str(got.value)
    frames = take(open_source(serve(half_of(film), path="/x.avi")), 41)
    assert 0 < len(frames) < 40
    for captured, original in zip(frames, pan, strict=False):
        assert np.abs(captured.frame.astype(int) - original).mean() < 8
    assert f"ends after {len(frames)} of the 40 frames" in caplog.text
