from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from time import perf_counter_ns

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.sources import is_live, open_source
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import SourceError
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.page.browser import BrowserSource, browser_address

Frame = NDArray[np.uint8]


@pytest.fixture
def source() -> Iterator[BrowserSource]:
    opened = BrowserSource(0)
    yield opened
    opened.close()


@pytest.fixture
def jpeg(photographs: dict[str, Frame]) -> bytes:
    done, data = cv2.imencode(".jpg", photographs["coffee"])
    assert done
    return data.tobytes()


def post(source: BrowserSource, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", source.server.server_address[1], timeout=20)
    connection.request("POST", path, body)
    answer = connection.getresponse()
    got = answer.status, answer.read()
    connection.close()
    return got


def test_a_frame_that_a_browser_posts_is_read_with_its_capture_time(
    source: BrowserSource, jpeg: bytes, photographs: dict[str, Frame]
) -> None:
    clock = msgspec.json.decode(post(source, "/clock")[1])["ms"]
    assert post(source, f"/camera?from=a&ms={clock}", jpeg)[0] == 200
    captured = source.read()
    assert captured is not None
    assert captured.stamp_ns == round(clock * 1e6)
    assert captured.index == 0
    assert np.abs(captured.frame.astype(int) - photographs["coffee"]).mean() < 4


@pytest.mark.parametrize("ms", ["", "nan", "-1e300", "1e300", "x", "0"])
def test_a_capture_time_that_cannot_be_true_is_the_arrival(
    source: BrowserSource, jpeg: bytes, ms: str
) -> None:
    before = perf_counter_ns()
    assert post(source, f"/camera?from=a&ms={ms}", jpeg)[0] == 200
    captured = source.read()
    assert captured is not None
    assert before < captured.stamp_ns < perf_counter_ns()


def test_only_the_newest_frame_waits(source: BrowserSource, jpeg: bytes, pan: list[Frame]) -> None:
    done, newest = cv2.imencode(".jpg", pan[0])
    assert done
    for body in (jpeg, jpeg, newest.tobytes()):
        post(source, "/camera?from=a", body)
    captured = source.read()
    assert captured is not None
    assert captured.frame.shape == pan[0].shape


def test_half_a_picture_is_never_classified_and_is_counted(
    source: BrowserSource, jpeg: bytes
) -> None:
    read: list[object] = []
    reader = threading.Thread(target=lambda: read.append(source.read()))
    reader.start()
    at = jpeg.index(b"\xff\xc0") + 5  # height and width
    huge = jpeg[:at] + b"\xff\xdc\xff\xdc" + jpeg[at + 4 :]
    for body in (jpeg[: len(jpeg) // 2], b"", b"\xff\xd8 no picture \xff\xd9", huge):
        assert post(source, "/camera?from=a", body)[0] == 200
        while source._newest is not None:
            pass
    post(source, "/camera?from=a", jpeg)
    reader.join(20)
    assert len(read) == 1
    assert source.errors == 4


def test_a_second_browser_is_refused_while_the_first_sends(
    source: BrowserSource, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(source, "/camera?from=a", jpeg)[0] == 200
    status, text = post(source, "/camera?from=b", jpeg)
    assert (status, text) == (400, b"another browser is sending its camera\n")
    monkeypatch.setattr("edgecnn_runtime.stream.page.browser.SILENCE", -1.0)
    assert post(source, "/camera?from=b", jpeg)[0] == 200
    assert source.reconnects == 1


def test_a_stream_classifies_the_camera_of_a_browser_and_stops_without_it(
    classify: Classifier, jpeg: bytes, free_port: int
) -> None:
    uri = f"browser://{free_port}"
    assert is_live(uri)
    opened = open_source(uri, name="laptop")
    stream = Stream(classify, opened)
    results = iter(stream)
    post(opened, "/camera?from=a", jpeg)  # type: ignore[arg-type]
    first = next(results)
    assert first.source == "laptop"
    assert 0 < first.frame_age_ms < 60_000
    threading.Timer(0.1, stream.stop).start()
    assert list(results) == []
    assert stream.summary().sources[0].age_from == "capture"


def test_addresses_of_the_page_are_ports_or_hosts_with_ports() -> None:
    assert browser_address("browser://") == ("127.0.0.1", 8080)
    assert browser_address("browser://9000/") == ("127.0.0.1", 9000)
    assert browser_address("browser://0.0.0.0:9000") == ("0.0.0.0", 9000)
    with pytest.raises(SourceError, match="'front' is no port"):
        browser_address("browser://front")
