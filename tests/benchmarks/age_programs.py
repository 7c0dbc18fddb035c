"""What `frame_age.py` measures: whether the age that is told of a frame is true.

    python age_programs.py synthetic|mjpeg|slow-sink BUNDLE
    python age_programs.py serve

Every frame carries in its pixels when it was made. Prints, in milliseconds, how far the age that
was told lies from the true one; or, under a sink that takes ten periods for each result, how old
frames became and what is allowed: two periods and the inference.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter_ns
from typing import Any

import cv2
import numpy as np

from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.synthetic import burned
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.run import run_stream
from edgecnn_runtime.stream.sink import Sink

FPS, FRAMES, WARM_UP = 30, 240, 30
CAMERA = f"synthetic://?size=640x480&fps={FPS}"
SMALL = f"synthetic://?size=320x240&fps={FPS}"  # to encode it takes a part of what is proven


class Mjpeg(BaseHTTPRequestHandler):
    """The synthetic camera behind HTTP."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        camera = open_source(SMALL)
        try:
            while (captured := camera.read()) is not None:
                jpeg = cv2.imencode(".jpg", captured.frame)[1].tobytes()
                head = f"--frame\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:  # the stream has what it wanted
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None: ...


def serve() -> None:
    """Be an MJPEG camera, and print the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Mjpeg) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


@contextmanager
def served() -> Iterator[str]:
    """The address of an MJPEG camera, which is a process of its own."""
    command = [sys.executable, __file__, "serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        process.kill()


def apart(classify: Classifier, uri: str) -> dict[str, float]:
    """The true age less the one that was told, of every frame."""
    found = []
    for result in Stream(classify, uri, frames=WARM_UP + FRAMES):
        now = perf_counter_ns()
        made_ns = burned(result.frame)
        if made_ns is None:
            raise SystemExit(f"frame {result.index} does not tell when it was made")
        found.append((now - made_ns) / 1e6 - result.frame_age_ms)
    p50, p99 = np.percentile(np.abs(found[WARM_UP:]), (50, 99))
    return {"apart_p50": float(p50), "apart_p99": float(p99)}


def slow_sink(classify: Classifier) -> dict[str, float]:
    """Age at the 99th percentile, and how much of what is allowed that is."""
    period_s = 1 / FPS
    enough = threading.Event()

    class Slow:
        def write(self, result: Result) -> None:
            enough.wait(10 * period_s)

        def close(self) -> None: ...

    def end(result: Result, fps: float) -> None:
        if result.index >= FRAMES - FPS:
            enough.set()

    stream = Stream(classify, CAMERA, frames=FRAMES)
    report: Any = run_stream(stream, [Sink("slow", Slow(), lossless=False)], on_status=end)
    allowed = 2000 * period_s + report.stages.infer.p99
    return {
        "age_p99": report.frame_age.p99,
        "share_of_allowed": report.frame_age.p99 / allowed,
        "sink_dropped": report.sinks[0].dropped,
    }


def main() -> None:
    which, *bundle = sys.argv[1:]
    if which == "serve":
        serve()
        return
    with Classifier.open(*bundle) as classify:
        if which == "mjpeg":
            with served() as uri:
                found = apart(classify, uri)
        else:
            found = apart(classify, CAMERA) if which == "synthetic" else slow_sink(classify)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
