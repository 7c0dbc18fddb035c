"""What a stream serves over RTSP, played back by our own source."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter_ns, sleep
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.synthetic import Synthetic, SyntheticSource, burned
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import InputError, MissingPackageError, SourceError
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.rtsp import process, serve
from edgecnn_runtime.stream.rtsp.process import Address, ServerProcess
from edgecnn_runtime.stream.rtsp.writer import Rtsp
from edgecnn_runtime.stream.run import StreamReport, run_stream
from edgecnn_runtime.stream.sink import Sink
from edgecnn_runtime.stream.sinks import open_sinks

FPS = 20.0
SIZE = (320, 240)


@pytest.fixture(scope="session")
def gstreamer() -> None:
    try:
        ServerProcess(Address("127.0.0.1", 0, "/x"), 25).close()
    except MissingPackageError as error:
        pytest.skip(str(error))


class Running:
    """A stream in a thread of its own, with an RTSP sink."""

    def __init__(self, model: Classifier | ImageFilter, uri: str, cameras: int = 1) -> None:
        named = [f"camera-{n}" for n in range(cameras)]
        sources = [SyntheticSource(n, Synthetic(SIZE, FPS, i)) for i, n in enumerate(named)]
        self.stream = Stream(model, sources)
        self.sinks = open_sinks([uri], lossless=False, fps=FPS)
        self.report: StreamReport | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    @property
    def writer(self) -> Rtsp:
        found = self.sinks[0]._writer
        assert isinstance(found, Rtsp)
        return found

    @property
    def child(self) -> subprocess.Popen[bytes]:
        while (server := self.writer._server) is None:
            sleep(0.01)
        return server._process

    def _run(self) -> None:
        self.report = run_stream(self.stream, self.sinks)

    def stop(self) -> StreamReport:
        self.stream.stop()
        self.thread.join(60)
        assert self.report is not None
        return self.report


@pytest.fixture
def running(gstreamer: None) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*arguments: Any, **named: Any) -> Running:
        started.append(Running(*arguments, **named))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def watch() -> Iterator[Callable[[str], Source]]:
    opened: list[Source] = []

    def open_one(uri: str) -> Source:
        """Open it, once the stream has had its first frame."""
        for left in reversed(range(20)):
            try:
                opened.append(open_source(uri, settings=settings_of({"stall": 3})))
                break
            except SourceError:
                if not left:
                    raise
                sleep(0.1)
        return opened[-1]

    yield open_one
    for source in opened:
        source.stop()
        source.close()


def read(source: Source) -> Captured:
    captured = source.read()
    assert captured is not None
    return captured


@pytest.fixture
def negative(filter_bundle: Path) -> Iterator[ImageFilter]:
    with ImageFilter.open(filter_bundle) as opened:
        yield opened


def test_the_stream_is_played_back_by_our_own_source_and_is_not_old(
    negative: ImageFilter,
    running: Callable[..., Running],
    watch: Callable[[str], Source],
    free_port: int,
) -> None:
    """A filter's negative keeps the code in the pixels that tells when a frame was made."""
    stream = running(negative, f"rtsp://:{free_port}/live")
    source = watch(f"rtsp://127.0.0.1:{free_port}/live")
    ages = [age_ms(read(source)) for _ in range(20)]
    report = stream.stop()
    assert max(ages) < 1000
    assert report.sinks[0].uri == f"rtsp://127.0.0.1:{free_port}/live"
    assert report.sink_errors == 0
    assert stream.writer._server is None, "it ended with the stream"


def age_ms(captured: Captured) -> float:
    assert captured.frame.shape[:2] == SIZE[::-1]
    made_ns = burned(255 - captured.frame)
    assert made_ns is not None, "the code in the picture can be read"
    return (perf_counter_ns() - made_ns) / 1e6


def test_every_source_has_a_film_of_its_own_and_the_first_is_at_the_path(
    classify: Classifier,
    running: Callable[..., Running],
    watch: Callable[[str], Source],
    free_port: int,
) -> None:
    running(classify, f"rtsp://127.0.0.1:{free_port}/a/b", cameras=2)
    films = ["/a/b", "/a/b/camera-0", "/a/b/camera-1"]
    first, same, other = (
        read(watch(f"rtsp://127.0.0.1:{free_port}{film}")).frame for film in films
    )
    assert first.shape == same.shape == other.shape
    assert _dark(first[:30]), "the answer stands there"


def _dark(rows: NDArray[np.uint8]) -> bool:
    return bool(np.median(rows) < 100)


def test_a_server_that_dies_is_started_again_and_the_stream_goes_on(
    classify: Classifier,
    running: Callable[..., Running],
    watch: Callable[[str], Source],
    free_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = running(classify, f"rtsp://:{free_port}/live")
    source = watch(f"rtsp://127.0.0.1:{free_port}/live")
    read(source)
    first = stream.child
    first.kill()
    first.wait()
    for _ in range(30):  # beyond what was on its way
        read(source)
    assert source.reconnects == 1
    assert stream.child.pid != first.pid
    assert stream.stop().sink_errors == 0
    assert "camera 127.0.0.1" not in caplog.text or "is back" in caplog.text


def test_a_server_that_hangs_holds_up_neither_the_stream_nor_its_end(
    classify: Classifier,
    running: Callable[..., Running],
    watch: Callable[[str], Source],
    free_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "TAKING", 1.0)
    monkeypatch.setattr(process, "ENDING", 0.2)
    stream = running(classify, f"rtsp://:{free_port}/live")
    read(watch(f"rtsp://127.0.0.1:{free_port}/live"))
    stream.child.send_signal(signal.SIGSTOP)
    before = stream.stream.summary().frames
    while stream.stream.summary().frames < before + 30:
        assert stream.thread.is_alive()
        sleep(0.05)
    report = stream.stop()
    assert report.frame_age.p99 < 1000
    assert report.sinks[0].dropped > 0, "nobody took them"


def test_others_need_a_password_which_is_made_where_none_is_given(
    classify: Classifier,
    running: Callable[..., Running],
    watch: Callable[[str], Source],
    free_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = running(classify, f"rtsp://0.0.0.0:{free_port}/live")
    password = stream.writer.address.password
    assert len(password) > 16
    assert f"rtsp://edgecnn:{password}@" in caplog.text, "told once, as the page's token"
    read(watch(f"rtsp://edgecnn:{password}@127.0.0.1:{free_port}/live"))
    with pytest.raises(SourceError, match="the path, the user or the password is wrong"):
        open_source(f"rtsp://127.0.0.1:{free_port}/live")
    with pytest.raises(SourceError, match="the path, the user or the password is wrong"):
        open_source(f"rtsp://edgecnn:wrong@127.0.0.1:{free_port}/live")


def test_a_password_of_ones_own_is_never_printed(
    classify: Classifier,
    running: Callable[..., Running],
    watch: Callable[[str], Source],
    free_port: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = running(classify, f"rtsp://me:5ecret%21@127.0.0.1:{free_port}/live")
    read(watch(f"rtsp://me:5ecret%21@127.0.0.1:{free_port}/live"))
    arguments = Path(f"/proc/{stream.child.pid}/cmdline").read_text()
    report = stream.stop()
    assert "5ecret" not in caplog.text + report.sinks[0].uri + arguments


def test_a_port_that_is_taken_is_one_line(gstreamer: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot be opened: port {port} of 127.0.0.1 is"):
            open_sinks([f"rtsp://:{port}/live"], lossless=False)


@pytest.mark.parametrize(
    ("uri", "message"),
    [("rtsp://:8554/live?x=1", "takes none"), ("rtsp://:999999/live", "Port out of range")],
)
def test_an_address_that_is_none_is_one_line(uri: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_sinks([uri], lossless=False)


def test_without_gstreamer_the_packages_are_named(
    bundle: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "pythons", lambda: iter([sys.executable]))
    if _has_bindings():
        pytest.skip("this Python has GStreamer's bindings")
    line = refused(
        *("stream", bundle, "--headless", "--source", "synthetic://?frames=3"),
        *("--sink", "rtsp://:8554/live"),
    )
    assert "No module named 'gi'" in line
    assert line.endswith(f"sudo apt-get install --no-install-recommends {process.PACKAGES}")


def _has_bindings() -> bool:
    try:
        serve.load()
    except serve.MissingError:
        return False
    return True


def test_the_server_ends_with_the_program_even_where_that_is_killed(
    gstreamer: None, bundle: Path, free_port: int
) -> None:
    command = [sys.executable, "-m", "edgecnn_runtime", "stream", str(bundle), "--headless"]
    command += ["--source", "synthetic://", "--sink", f"rtsp://:{free_port}/live", "--sink", "-"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert program.stdout is not None
    assert program.stdout.readline()
    socket.create_connection(("127.0.0.1", free_port), 5).close()
    program.kill()
    program.wait()
    program.stdout.close()
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", free_port), 5).close()
        except ConnectionRefusedError:
            return
        sleep(0.05)
    pytest.fail("the server still listens")


def test_a_sink_is_made_of_it(gstreamer: None, classify: Classifier, clip: Path) -> None:
    """A file's frames are not held up by it, however fast they come."""
    sink = open_sinks(["rtsp://127.0.0.1:0/live"], lossless=True)[0]
    assert isinstance(sink, Sink)
    report = run_stream(Stream(classify, clip), [sink])
    assert report.frames == 40
