"""Results of a real clip, and servers that fail on request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Result


@pytest.fixture
def results(classify: Classifier, clip: Path) -> list[Result]:
    """The forty results of the clip."""
    return list(Stream(classify, clip))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class Receiver(ThreadingHTTPServer):
    """Takes POSTs; `answers` are the statuses to come, 200 once they are used up."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", port), _Take)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Take(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status == 200:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers.items()))
            self.server.paths.append(self.path)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Start an HTTP server that takes POSTs: receiver(port=0)."""
    started: list[Receiver] = []

    def start(port: int = 0) -> Receiver:
        started.append(Receiver(port))
        return started[-1]

    yield start
    for server in started:
        server.stop()
