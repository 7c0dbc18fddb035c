"""A real RTSP server on loopback that is killed and started again, and one that hangs."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from edgecnn_runtime.camera.ffmpeg import Delay
from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.synthetic import burned
from edgecnn_runtime.errors import SourceError

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = (
    "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    " gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
)
PROBE = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(n) for n in ("x264enc", "rtph264pay", "appsrc"))
"""
STALE_MS = 1000  # the decoder gives a frame when the next has come, 67 ms later


@cache
def why_no_server() -> str | None:
    if shutil.which(SYSTEM_PYTHON) is None:
        return f"no {SYSTEM_PYTHON}"
    done = subprocess.run([SYSTEM_PYTHON, "-c", PROBE], capture_output=True, check=False)
    return f"apt-get install --no-install-recommends {NEEDED}" if done.returncode else None


class Server:
    """A server as a process of its own, always on the same port."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self, *paths: str) -> None:
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port), *(paths or ("/a",))]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "serving\n"

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            assert self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def uri(self, path: str = "/a") -> str:
        return f"rtsp://me:secret@127.0.0.1:{self.port}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    if (why := why_no_server()) is not None:
        pytest.skip(f"no RTSP server: {why}")
    made = Server()
    made.start()
    yield made
    made.kill()


@pytest.fixture
def opened(server: Server) -> Iterator[Callable[..., Source]]:
    sources: list[Source] = []

    def make(**texts: object) -> Source:
        settings = settings_of({"stall": 2, **texts})
        sources.append(open_source(server.uri(), settings=settings))
        return sources[-1]

    yield make
    for source in sources:
        source.stop()
        source.close()


def age_ms(captured: Captured | None) -> float:
    """How old a frame was when it arrived, as its pixels tell."""
    assert captured is not None
    made_ns = burned(captured.frame)
    assert made_ns is not None, "the code in the picture can be read"
    return (captured.stamp_ns - made_ns) / 1e6


def survive(server: Server, source: Source, times: int) -> list[float]:
    """Kill the server and start it again; the ages of all frames."""
    ages = [age_ms(source.read()) for _ in range(5)]
    for _ in range(times):
        server.kill()
        again = threading.Thread(target=server.start)
        again.start()
        ages += [age_ms(source.read()) for _ in range(5)]
        again.join()
        assert source.reconnects > 0
    return ages


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_server_that_is_killed_and_started_again_is_found_without_a_stale_frame(
    server: Server,
    opened: Callable[..., Source],
    transport: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = opened(transport=transport)
    times = 3 if transport == "tcp" else 1
    ages = survive(server, source, times)
    assert source.reconnects == times
    assert max(ages) < STALE_MS
    assert source.age_from == "arrival"
    assert "secret" not in caplog.text + source.name
    assert "is back" in caplog.text


@pytest.mark.slow
def test_twenty_restarts_leave_memory_and_threads_as_they_were(
    server: Server, opened: Callable[..., Source]
) -> None:
    source = opened()
    ages = survive(server, source, 3)
    before, threads = memory_mb(), threading.active_count()
    ages += survive(server, source, 17)
    assert source.reconnects == 20
    assert max(ages) < STALE_MS
    assert memory_mb() < before + 20
    assert threading.active_count() == threads


def drain(source: Source) -> None:
    while source.read() is not None:
        pass


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def test_what_a_server_that_hung_held_back_is_not_given(
    server: Server, opened: Callable[..., Source]
) -> None:
    source = opened()
    assert max(age_ms(source.read()) for _ in range(5)) < STALE_MS
    server.send(signal.SIGSTOP)
    threading.Timer(1.5, server.send, [signal.SIGCONT]).start()
    assert max(age_ms(source.read()) for _ in range(20)) < STALE_MS


def test_a_server_that_hangs_counts_as_lost_within_the_time_asked_for(
    server: Server,
    opened: Callable[..., Source],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = opened(stall=1.5, open_timeout=1.5, retries=1)
    source.read()
    server.send(signal.SIGSTOP)
    with pytest.raises(SourceError, match="is given up after 1 attempts"):
        drain(source)
    assert "is lost: it g" in caplog.text
    assert capfd.readouterr().err == "", "OpenCV is silent"
    server.send(signal.SIGCONT)


def test_a_wrong_path_is_one_line(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="answers but gives no video: the path") as got:
        open_source(server.uri("/nothing"))
    assert "secret" not in str(got.value)
    assert capfd.readouterr().err == "", "FFmpeg is silent"


def test_a_gpu_that_does_not_decode_is_one_line(server: Server) -> None:
    if Path("/dev/dri").exists() or Path("/dev/nvidia0").exists():
        pytest.skip("a GPU of this machine may decode")
    with pytest.raises(SourceError, match="cannot be decoded on a GPU"):
        open_source(server.uri(), settings=settings_of({"decoder": "gpu"}))


def test_the_password_of_a_stream_is_in_no_process_list_log_or_result(
    server: Server, bundle: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "CAMERA_URI": server.uri()}
    result = tmp_path / "x.json"
    command = [sys.executable, "-m", "edgecnn_runtime", "stream", str(bundle), "--headless"]
    command += ["--source", "${CAMERA_URI}", "--frames", "20", "--json", str(result)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    listed = set()
    while process.poll() is None:
        listed.add(Path(f"/proc/{process.pid}/cmdline").read_text())
        threading.Event().wait(0.1)
    out = process.communicate()[0]
    assert process.returncode == 0, out
    assert "20 frames of ${CAMERA_URI}" in out
    assert "secret" not in out + result.read_text() + "".join(listed)


def test_a_delay_is_told_against_the_soonest_frame() -> None:
    delay = Delay()
    assert delay.of(0.0, 10.1) == 0
    assert delay.of(1.0, 11.0) == 0, "sooner than the first"
    assert delay.of(2.0, 14.0) == pytest.approx(2)
    assert delay.of(3.0, 13.0) == pytest.approx(0)
    assert delay.of(0.0, 14.0) == 0, "the sender has begun anew"


def test_a_delay_forgets_how_soon_a_frame_came_long_ago_since_clocks_drift() -> None:
    delay = Delay()
    told = [delay.of(float(t), t * 1.001) for t in range(1, 3600)]
    assert max(told) < 0.2
