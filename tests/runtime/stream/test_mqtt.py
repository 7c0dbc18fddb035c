"""paho-mqtt against a broker of a few lines: CONNECT, PUBLISH with QoS 1, DISCONNECT."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from edgecnn_runtime.errors import InputError, MissingPackageError
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.sink import SinkSummary
from edgecnn_runtime.stream.sinks import open_sinks

CONNECT, PUBLISH = 1, 3


class Broker:
    """Accepts one client after another and remembers what they publish.

    `confirms` says how many messages it confirms before it hangs up.
    """

    def __init__(self, confirms: int | None = None) -> None:
        self.connects: list[bytes] = []
        self.messages: list[tuple[str, bytes]] = []
        self._confirms = confirms
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, suppress(EOFError, ConnectionError):
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        while True:
            head, body = _packet(client)
            if head >> 4 == CONNECT:
                self.connects.append(body)
                client.sendall(b"\x20\x02\x00\x00")
            elif head >> 4 == PUBLISH:
                length = int.from_bytes(body[:2], "big")
                self.messages.append((body[2 : 2 + length].decode(), body[4 + length :]))
                client.sendall(b"\x40\x02" + body[2 + length : 4 + length])
                if len(self.messages) == self._confirms:
                    self._listener.close()
                    return

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _packet(client: socket.socket) -> tuple[int, bytes]:
    head = _exactly(client, 1)[0]
    length = shift = 0
    while True:
        byte = _exactly(client, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return head, _exactly(client, length)


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


@pytest.fixture
def broker() -> Iterator[Broker]:
    started = Broker()
    yield started
    started.close()


def published(uri: str, results: list[Result]) -> SinkSummary:
    (sink,) = open_sinks([uri], lossless=True)
    for result in results:
        sink.put(result)
    return sink.close()


def test_every_result_is_published_and_the_password_is_not_shown(
    results: list[Result], broker: Broker
) -> None:
    pytest.importorskip("paho.mqtt")
    summary = published(f"mqtt://me:secret@127.0.0.1:{broker.port}/cams/{{source}}", results)
    assert summary == SinkSummary("mqtt://127.0.0.1/cams/{source}", 40, 0, None)
    assert {topic for topic, _ in broker.messages} == {"cams/pan.mp4"}
    assert [json.loads(body)["index"] for _, body in broker.messages] == list(range(40))
    assert b"me\x00\x06secret" in broker.connects[0]


def test_a_broker_that_is_not_there_drops_results_and_ends_no_stream(
    results: list[Result], free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("paho.mqtt")
    summary = published(f"mqtt://127.0.0.1:{free_port}/x", results[:4])
    assert (summary.frames, summary.dropped) == (0, 4)
    assert f"no connection to the broker at 127.0.0.1:{free_port}" in str(summary.error)
    assert caplog.text.count("results are dropped until") == 1


def test_a_broker_that_goes_loses_what_it_did_not_confirm(results: list[Result]) -> None:
    pytest.importorskip("paho.mqtt")
    broker = Broker(confirms=3)
    summary = published(f"mqtt://127.0.0.1:{broker.port}/x", results[:8])
    assert 3 <= summary.frames < 8
    assert summary.frames + summary.dropped == 8
    assert summary.error is not None


def test_without_paho_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'edgecnn\[mqtt\]'"):
        open_sinks(["mqtt://127.0.0.1/x"], lossless=True)


def test_a_quality_of_service_that_is_none_is_an_input_error() -> None:
    with pytest.raises(InputError, match="qos=7; expected 0, 1 or 2"):
        open_sinks(["mqtt://127.0.0.1/x?qos=7"], lossless=True)
