"""The HTTP server of the live page: a thread for every viewer, and none is waited for."""

from __future__ import annotations

import logging
import select
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from edgecnn_runtime.stream.live import Snapshot
from edgecnn_runtime.stream.page.access import COOKIE, Access, is_same_origin
from edgecnn_runtime.stream.page.pictures import Pictures
from edgecnn_runtime.stream.page.prometheus import CONTENT_TYPE, exposition

log = logging.getLogger("edgecnn")

MOST = 64  # connections at a time; more are turned away
TIMEOUT = 20.0  # seconds in which a viewer must have taken a picture, or said what it wants
BUFFER = 1 << 16  # bytes that may be on their way to a viewer: more would be old pictures
LARGEST_POST = 8 << 20
POLICY = (
    "default-src 'self'; img-src 'self' data:;"
    " script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
BOUNDARY = "edgecnn-frame"

Act = Callable[[dict[str, str], bytes], object]


@dataclass(frozen=True)
class PageState:
    """What the page asks for twice a second; each part is None where nobody gives it."""

    figures: Snapshot | None
    capture: object
    camera: object


class PageServer(ThreadingHTTPServer):
    """Serves the page, `/state.json`, `/video.mjpg`, `/frame.jpg` and `/metrics`.

    One is made by `open_server`, and shared by all that have something to show at its address.

    Attributes:
        pictures: what is shown as a film.
        figures: of a stream, for the page and Prometheus.
        capture: where a session of collecting photographs stands.
        camera: where the camera of the browser itself stands.
        acts: what a POST to a path does, with its query and body; may raise ValueError.

    Raises:
        OSError: the port is taken, or not ours to take.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = MOST

    def __init__(self, host: str, port: int, token: str | None = None) -> None:
        self.pictures = Pictures()
        self.figures: Callable[[], Snapshot] | None = None
        self.capture: Callable[[], object] | None = None
        self.camera: Callable[[], object] | None = None
        self.acts: dict[str, Act] = {}
        self.access = Access(host, token)
        self.users, self.asked = 1, (host, port)
        self._free = threading.BoundedSemaphore(MOST)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.address_family = found[0]
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="edgecnn-page", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where to look, with the token that others need where it was made here."""
        host, port = str(self.server_address[0]), self.server_address[1]
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        shown = f"[{host}]" if ":" in host else host
        token = f"?token={self.access.token}" if self.access.is_made_here else ""
        return f"http://{shown}:{port}/{token}"

    def state(self) -> PageState:
        """What there is to show."""
        return PageState(
            self.figures() if self.figures is not None else None,
            self.capture() if self.capture is not None else None,
            self.camera() if self.camera is not None else None,
        )

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's asks the network for our name

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread can be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A viewer that goes is no error; anything else is a mistake of ours and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        """Stop answering, once the last of its users closes it. Viewers are not waited for."""
        with _opening:
            self.users -= 1
            if self.users:
                return
            _servers.pop(self.asked, None)
        self.pictures.close()
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "edgecnn", ""
    timeout = TIMEOUT

    def setup(self) -> None:
        super().setup()
        self.query: dict[str, str] = {}

    def do_GET(self) -> None:
        if not self._may():
            return
        answer = _GET.get(self._path())
        if answer is None:
            self._say(HTTPStatus.NOT_FOUND, "there is nothing here")
        else:
            answer(self)

    def do_POST(self) -> None:
        if not self._may():
            return
        if not is_same_origin(self.headers["Origin"], self.headers["Host"]):
            self._say(HTTPStatus.FORBIDDEN, "a POST from another page")
            return
        act = self.server.acts.get(self._path())
        if act is None:
            self._say(HTTPStatus.NOT_FOUND, "there is nothing here to do")
            return
        body = self._body()
        if body is None:
            return
        try:
            answer = act(self.query, body)
        except ValueError as error:
            self._say(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send(msgspec.json.encode(answer), "application/json")

    def _path(self) -> str:
        return urlsplit(self.path).path

    def _may(self) -> bool:
        """Whether to go on; otherwise the answer has been given."""
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        self.query = {name: values[-1] for name, values in query.items()}
        access, headers = self.server.access, self.headers
        if not access.is_our_name(headers["Host"]):
            self._say(HTTPStatus.FORBIDDEN, "this server is reached as localhost or 127.0.0.1")
        elif not access.is_allowed(
            self.query.get("token"), headers["Authorization"], headers["Cookie"]
        ):
            self._say(HTTPStatus.UNAUTHORIZED, "the address lacks its token: /?token=...")
        else:
            return True
        return False

    def _body(self) -> bytes | None:
        try:
            length = int(self.headers["Content-Length"] or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST_POST:
            self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too much, or of no stated length")
            return None
        return self.rfile.read(length)

    def page(self) -> None:
        text = files("edgecnn_runtime.stream.page").joinpath("index.html").read_bytes()
        self._send(text, "text/html; charset=utf-8", with_cookie="token" in self.query)

    def state(self) -> None:
        self._send(msgspec.json.encode(self.server.state()), "application/json")

    def metrics(self) -> None:
        if self.server.figures is None:
            self._say(HTTPStatus.NOT_FOUND, "no figures here")
        else:
            self._send(exposition(self.server.figures()).encode(), CONTENT_TYPE)

    def _wanted(self) -> str:
        """Which picture: annotated unless it is said to be plain."""
        source = self.query.get("source", "")
        return f"plain:{source}" if "plain" in self.query else source

    def frame(self) -> None:
        found = self.server.pictures.newer(self._wanted(), -1, timeout=5)
        if found is None:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, "no frame came")
        else:
            self._send(found[1], "image/jpeg")

    def video(self) -> None:
        """Pictures until the viewer goes. A slow one gets every so many-th, never an old one."""
        pictures, source = self.server.pictures, self._wanted()
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        pictures.enter(source)
        try:
            number = -1
            while not pictures.is_closed:
                found = pictures.newer(source, number, timeout=1)
                if found is None:
                    if self._has_gone():
                        return
                    continue
                number, picture = found
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                head += f"Content-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
        finally:
            pictures.leave(source)

    def _has_gone(self) -> bool:
        """Whether the viewer has hung up: while no picture comes, no write would tell."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _send(self, body: bytes, kind: str, *, with_cookie: bool = False) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")  # the address may hold the token
        if with_cookie and self.server.access.token is not None:
            cookie = f"{COOKIE}={self.server.access.token}; HttpOnly; SameSite=Strict; Path=/"
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def _say(self, status: HTTPStatus, text: str) -> None:
        body = f"{text}\n".encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: an address in a log could hold the token."""


_GET: dict[str, Callable[[_Handler], None]] = {
    "/": _Handler.page,
    "/state.json": _Handler.state,
    "/video.mjpg": _Handler.video,
    "/frame.jpg": _Handler.frame,
    "/metrics": _Handler.metrics,
}


_servers: dict[tuple[str, int], PageServer] = {}
_opening = threading.Lock()


def open_server(host: str, port: int, token: str | None = None) -> PageServer:
    """The server at an address, which whoever asks for the same one shares; each closes it.

    Args:
        port: 0 for any that is free.
        token: that viewers must show; made where None and others can reach the host.

    Raises:
        OSError: the port is taken by somebody else.
    """
    with _opening:
        found = _servers.get((host, port)) if port else None
        if found is not None:
            found.users += 1
            if token is not None:
                found.access = Access(host, token)
            return found
        server = PageServer(host, port, token)
        if port:
            _servers[host, port] = server
    log.warning("page: %s", server.url)
    return server
