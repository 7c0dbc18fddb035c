"""RTSP servers as processes of their own, for the benchmarks; the server is that of the tests."""

from __future__ import annotations

import socket
import subprocess

from harness import ROOT

PROGRAM = ROOT / "tests" / "runtime" / "camera" / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
PASSWORD = "5ecret-of-the-camera"


class Server:
    """One server, always on the same port, 320x240 at 15 frames a second."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None
        self.uri = f"rtsp://me:{PASSWORD}@127.0.0.1:{self.port}/a"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = subprocess.Popen(
            [SYSTEM_PYTHON, str(PROGRAM), str(self.port), "/a"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "serving\n":
            raise SystemExit("no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 ...")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self.process is not None:
            assert self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
