"""The other end of a soak's sinks: a server that takes results or fails, and two that look.

    python soak_peer.py SEED

Prints its port; reads the address of the page; at the end of standard input prints what it took.
Imports the standard library alone.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from urllib.request import urlopen

FAULTS = {"none": 94, "503": 3, "hangs up": 2, "slow": 1}
over = threading.Event()


class Receiver(ThreadingHTTPServer):
    """Takes POSTs, most of them."""

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.taken = 0
        self.last: dict[str, int] = {}
        self.out_of_order = 0
        super().__init__(("127.0.0.1", 0), Take)


class Take(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        (fault,) = server.random.choices(list(FAULTS), FAULTS.values())
        server.faults[fault] += 1
        if fault == "hangs up":
            self.close_connection = True
            return
        if fault == "slow":
            over.wait(0.2)
        if fault != "503":
            record = json.loads(body)
            server.taken += 1
            server.out_of_order += record["index"] <= server.last.get(record["source"], -1)
            server.last[record["source"]] = record["index"]
        self.send_response(503 if fault == "503" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def watch(page: str, seen: Counter[str]) -> None:
    """Look at the page again and again, as people do."""
    while not over.wait(0.5):
        for path in ("state.json", "metrics", "frame.jpg"):
            with suppress(OSError), urlopen(page + path, timeout=10) as answer:
                seen[path] += len(answer.read()) > 0
        with suppress(OSError), urlopen(page + "video.mjpg", timeout=10) as film:
            for _ in range(5):
                seen["film"] += len(film.read(1000)) > 0


def crawl(page: str, seen: Counter[str]) -> None:
    """Watch the film at some bytes a second."""
    address = urlsplit(page)
    with socket.create_connection((address.hostname, address.port)) as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        viewer.sendall(b"GET /video.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(OSError):
            while not over.wait(0.25):
                seen["bytes of the slow viewer"] += len(viewer.recv(1))


def main() -> None:
    receiver = Receiver(int(sys.argv[1]))
    threading.Thread(target=receiver.serve_forever, args=(0.1,), daemon=True).start()
    print(receiver.server_port, flush=True)
    page, seen = sys.stdin.readline().strip(), Counter[str]()
    viewers = [threading.Thread(target=look, args=(page, seen)) for look in (watch, crawl)]
    for viewer in viewers:
        viewer.daemon = True
        viewer.start()
    sys.stdin.read()
    over.set()
    viewers[0].join(10)
    found = {
        "taken": receiver.taken,
        "out_of_order": receiver.out_of_order,
        "faults": receiver.faults,
        "seen": seen,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
