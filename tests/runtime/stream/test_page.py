from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import InputError
from edgecnn_runtime.stream.live import Live
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.page.access import Access
from edgecnn_runtime.stream.page.pictures import KEEPS, Pictures
from edgecnn_runtime.stream.page.server import MOST
from edgecnn_runtime.stream.page.writer import Page, open_page
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.run import run_stream
from edgecnn_runtime.stream.sinks import open_sinks

Open = Callable[..., Page]


@pytest.fixture
def live(classify: Classifier, clip: Path) -> Live:
    """Figures of a stream that has run."""
    stream = Stream(classify, clip)
    live = Live(stream.summary)
    run_stream(stream, live=live)
    return live


@pytest.fixture
def open_live(live: Live) -> Iterator[Open]:
    """Serve the page on a free port: open_live(host=..., token=...)."""
    opened: list[Page] = []

    def start(**options: object) -> Page:
        opened.append(open_page(live, **{"port": 0, **options}))  # type: ignore[arg-type]
        return opened[-1]

    yield start
    for page in opened:
        page.close()


def get(
    page: Page, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", page.server.server_address[1], timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    got = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return got


def viewer(page: Page, path: str = "/video.mjpg") -> socket.socket:
    opened = socket.create_connection(page.server.server_address[:2], timeout=20)
    opened.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return opened


def test_the_page_is_one_file_that_asks_nobody_else_for_anything(open_live: Open) -> None:
    status, headers, body = get(open_live(), "/")
    text = body.decode()
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_the_page_s_figures_are_those_of_the_stream(open_live: Open) -> None:
    status, _, body = get(open_live(), "/state.json")
    figures = json.loads(body)["figures"]
    assert status == 200
    assert figures["summary"]["frames"] == 40
    assert figures["summary"]["model"] == "which_colour"
    assert figures["minute"]["frame_age"]["p999"] > 0
    assert figures["latest"]["pan.mp4"]["label"] in ("red", "green", "blue")


def test_prometheus_gets_metrics_with_help_type_and_seconds(open_live: Open) -> None:
    _, headers, body = get(open_live(), "/metrics")
    lines = body.decode().splitlines()
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    values = {}
    for line in lines:
        if not line.startswith("#"):
            match = re.fullmatch(r"([a-z_]+(?:\{(?:[a-z_]+=\"[^\"]*\",?)+\})?) (\S+)", line)
            assert match, line
            values[match[1]] = float(match[2])
    assert values['edgecnn_frames_total{source="pan.mp4"}'] == 40
    median = values['edgecnn_stage_seconds{stage="infer",quantile="0.5"}']
    assert 0 < median < 1
    assert values['edgecnn_stage_seconds_count{stage="infer"}'] == 40
    assert values['edgecnn_stage_last_minute_seconds{stage="frame_age",quantile="0.999"}'] > 0
    named = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {re.sub(r"_(count|sum)$", "", name) for name in named} == typed


def test_a_viewer_gets_annotated_pictures_and_the_page_gets_plain_ones(
    open_live: Open, results: list[Result]
) -> None:
    page = open_live()
    stop = threading.Event()

    def feed() -> None:
        while not stop.wait(0.01):
            page.write(results[5])

    feeding = threading.Thread(target=feed)
    feeding.start()
    with viewer(page) as watching:
        data = b""
        while data.count(b"\xff\xd9\r\n") < 2:
            data += watching.recv(1 << 16)
    plain = get(page, "/frame.jpg?plain&source=pan.mp4")[2]
    stop.set()
    feeding.join()
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"multipart/x-mixed-replace" in head
    start = rest.index(b"\xff\xd8")
    drawn = cv2.imdecode(np.frombuffer(rest[start:], np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape != results[5].frame.shape
    shown = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert np.abs(shown.astype(int) - results[5].frame).mean() < 6


def test_no_picture_is_made_where_nobody_looks(
    open_live: Open, results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(
        "edgecnn_runtime.stream.page.writer.encode_jpeg", lambda *a: made.append(a) or b""
    )
    page = open_live()
    for result in results:
        page.write(result)
    assert made == []


def test_the_stream_goes_on_with_twenty_viewers_of_whom_one_reads_a_byte_at_a_time(
    classify: Classifier, clip: Path, free_port: int
) -> None:
    stream = Stream(classify, clip)
    live = Live(stream.summary)
    (sink,) = open_sinks([f"http://127.0.0.1:{free_port}"], lossless=True, live=live)
    page: Page = sink._writer  # type: ignore[assignment]
    viewers = [viewer(page) for _ in range(20)]
    slow, quick = viewers[0], viewers[1:]
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    counts = [0] * len(quick)
    stop = threading.Event()

    def read(number: int) -> None:
        with suppress(OSError):
            while not stop.is_set():
                counts[number] += quick[number].recv(1 << 16).count(b"--edgecnn-frame")

    threads = [threading.Thread(target=read, args=(n,)) for n in range(len(quick))]
    for thread in threads:
        thread.start()
    results = list(stream)
    until = time.monotonic() + 60
    while min(counts) < 5 and time.monotonic() < until:
        for result in results:
            sink.put(result)
        slow.recv(1)
        time.sleep(0.02)
    assert min(counts) >= 5
    assert get(page, "/state.json")[0] == 200
    stop.set()
    assert sink.close().error is None  # though the slow one still has pictures to read
    for one in viewers:
        one.close()
    for thread in threads:
        thread.join()


def test_viewers_who_have_gone_keep_no_place_while_no_picture_comes(open_live: Open) -> None:
    page = open_live()
    for _ in range(MOST):
        with viewer(page) as watching:
            assert watching.recv(12) == b"HTTP/1.1 200"
    until = time.monotonic() + 60
    while page.server._free._value < MOST and time.monotonic() < until:
        time.sleep(0.05)
    assert get(page, "/state.json")[0] == 200


def test_a_picture_that_was_made_for_others_long_ago_is_not_shown_to_who_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr("edgecnn_runtime.stream.page.pictures.monotonic", lambda: clock[0])
    pictures = Pictures()
    pictures.publish("front", b"old")
    found = pictures.newer("front", -1, timeout=0)
    assert found is not None
    assert found[1] == b"old"
    clock[0] += KEEPS + 1
    assert pictures.newer("front", -1, timeout=0) is None
    pictures.publish("front", b"new")
    found = pictures.newer("front", -1, timeout=0)
    assert found is not None
    assert found[1] == b"new"


def test_a_lossless_stream_never_waits_for_the_page(live: Live, results: list[Result]) -> None:
    (sink,) = open_sinks(["http://127.0.0.1:0"], lossless=True, live=live)
    page: Page = sink._writer  # type: ignore[assignment]
    stuck, go = threading.Event(), threading.Event()

    def write(result: Result) -> None:
        stuck.set()
        go.wait()

    page.write = write  # type: ignore[method-assign]
    sink.put(results[0])
    assert stuck.wait(10)
    for result in results:
        sink.put(result)  # would wait for ever
    go.set()
    assert sink.close().dropped > 0


def test_a_name_that_somebody_pointed_at_this_machine_is_refused(open_live: Open) -> None:
    page = open_live()
    assert get(page, "/state.json", Host="evil.example")[0] == 403
    assert get(page, "/state.json", Host="localhost:80")[0] == 200


def test_on_a_network_a_token_is_made_told_once_and_asked_for(
    open_live: Open, caplog: pytest.LogCaptureFixture
) -> None:
    page = open_live(host="0.0.0.0")
    token = page.server.access.token
    assert token is not None
    assert caplog.text.count(token) == 1
    assert get(page, "/state.json")[0] == get(page, "/metrics")[0] == 401
    assert get(page, "/state.json?token=wrong")[0] == 401
    assert get(page, "/metrics", Authorization=f"Bearer {token}")[0] == 200
    status, headers, body = get(page, f"/?token={token}")
    assert status == 200
    assert token.encode() not in body
    cookie = headers["Set-Cookie"].split(";")[0]
    assert get(page, "/state.json", Cookie=cookie)[0] == 200


def test_a_token_of_the_user_s_is_never_printed(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PAGE_TOKEN", "s3cret")
    (sink,) = open_sinks(["http://0.0.0.0:0?token=${PAGE_TOKEN}"], lossless=False, live=live)
    page: Page = sink._writer  # type: ignore[assignment]
    assert get(page, "/state.json?token=s3cret")[0] == 200
    assert "s3cret" not in caplog.text + sink.close().uri


def test_a_post_from_another_page_is_refused(open_live: Open) -> None:
    done: list[str] = []
    page = open_live()
    page.server.acts["/x"] = lambda query, body: done.append("/x")
    assert get(page, "/x", "POST", b"", Origin="http://evil.example", Host="localhost")[0] == 403
    assert done == []
    assert get(page, "/x", "POST", b"", Origin="http://localhost", Host="localhost")[0] == 200
    assert done == ["/x"]


def test_a_port_that_is_taken_is_an_input_error(open_live: Open, live: Live) -> None:
    port = open_live().server.server_address[1]
    with pytest.raises(InputError, match=r"cannot be opened: Address already in use"):
        open_sinks([f"http://127.0.0.1:{port}"], lossless=True, live=live)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_on_this_machine_alone_no_token_is_needed(host: str) -> None:
    access = Access(host)
    assert access.token is None
    assert access.is_allowed(None, None, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "camera.local", ""])
def test_everywhere_else_one_is(host: str) -> None:
    assert not Access(host).is_allowed(None, None, None)


def test_two_that_show_something_at_one_address_share_its_server(
    live: Live, free_port: int
) -> None:
    one, other = open_page(live, port=free_port), open_page(live, port=free_port)
    assert one.server is other.server
    one.close()
    assert get(other, "/state.json")[0] == 200
    other.close()
    with pytest.raises(ConnectionRefusedError):
        get(other, "/state.json")
