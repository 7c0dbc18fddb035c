"""The text of pipelines, run by GStreamer itself with a test picture in the sensor's place."""

from __future__ import annotations

import gc
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn_runtime.camera import gstreamer
from edgecnn_runtime.camera.gst_binding import BindingCapture
from edgecnn_runtime.camera.gstreamer import csi_pipeline, whole_pipeline
from edgecnn_runtime.camera.settings import Settings, settings_of
from edgecnn_runtime.camera.source import Source
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.errors import SourceError

PROGRAM = Path(__file__).with_name("run_pipeline.py")
SYSTEM_PYTHON = "/usr/bin/python3"
# What only the devices have, and what every GStreamer has in its place.
ELSEWHERE = {
    "nvarguscamerasrc sensor-id=1": "videotestsrc is-live=true",
    "(memory:NVMM)": "",
    "nvvidconv": "videoconvert",
    "libcamerasrc": "videotestsrc is-live=true",
}
NEWEST = "True 1 False"  # drop, max-buffers, sync


@cache
def has_gstreamer() -> bool:
    if shutil.which(SYSTEM_PYTHON) is None:
        return False
    pipeline = "videotestsrc num-buffers=5 ! videoconvert ! appsink"
    command = [SYSTEM_PYTHON, str(PROGRAM), pipeline]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(pipeline: str) -> str:
    if not has_gstreamer():
        pytest.skip("no GStreamer: apt-get install python3-gi gstreamer1.0-plugins-base")
    for device, here in ELSEWHERE.items():
        pipeline = pipeline.replace(device, here)
    command = [SYSTEM_PYTHON, str(PROGRAM), pipeline]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nv_tegra_release").touch()
    monkeypatch.setattr(gstreamer, "_JETSON", tmp_path / "nv_tegra_release")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "_JETSON", tmp_path / "nv_tegra_release")


@pytest.mark.usefixtures("jetson")
def test_a_jetsons_pipeline_gives_the_newest_frame_in_the_size_and_rate_asked_for() -> None:
    pipeline = csi_pipeline(1, settings_of({"size": "640x360", "fps": 60}))
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM), width=640")
    told = run(pipeline)
    assert told == f"BGR 640 360 (60, 1) {640 * 360 * 3} {NEWEST}"


@pytest.mark.usefixtures("elsewhere")
def test_libcameras_pipeline_gives_the_newest_frame_in_the_size_and_rate_asked_for() -> None:
    told = run(csi_pipeline(0, Settings()))
    assert told == f"BGR 1280 720 (30, 1) {1280 * 720 * 3} {NEWEST}"


@pytest.mark.usefixtures("elsewhere")
def test_another_of_libcameras_cameras_cannot_be_told_by_number() -> None:
    with pytest.raises(SourceError, match="csi://1: libcamera's cameras have names"):
        csi_pipeline(1, Settings())


@pytest.mark.parametrize("end", ["", " !", " ! "])
def test_a_pipeline_of_ones_own_gets_the_sink_that_it_lacks(end: str) -> None:
    pipeline = f"videotestsrc is-live=true ! video/x-raw, width=160, height=120{end}"
    assert run(whole_pipeline(pipeline)).endswith(f"{160 * 120 * 3} {NEWEST}")


def test_a_pipeline_with_a_sink_is_left_as_it_is() -> None:
    pipeline = "videotestsrc ! videoconvert ! video/x-raw, format=BGR ! appsink sync=true"
    assert whole_pipeline(pipeline) == pipeline


@pytest.fixture
def opened() -> Iterator[Callable[..., Source]]:
    """Open a pipeline by GStreamer's own binding."""
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer itself")
    if not has_gstreamer():
        pytest.skip("no GStreamer: apt-get install python3-gi gstreamer1.0-plugins-base")
    sources: list[Source] = []

    def make(pipeline: str, **texts: object) -> Source:
        sources.append(open_source(pipeline, settings=settings_of(texts)))
        return sources[-1]

    yield make
    for source in sources:
        source.stop()
        source.close()


def test_a_pipeline_is_read_by_gstreamers_own_binding(opened: Callable[..., Source]) -> None:
    """Of an odd width, whose rows GStreamer pads; the test picture's bars are grey to blue."""
    size = "video/x-raw, width=161, height=120, framerate=20/1"
    source = opened(f"videotestsrc is-live=true pattern=smpte ! {size}")
    first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert first.frame.shape == (120, 161, 3)
    assert source.fps == 20
    assert np.ptp(first.frame[20, 5].astype(int)) < 10, "the first bar is grey"
    assert first.frame[20, 150].argmax() == 0, "the last is blue, as BGR has it"
    assert second.index > first.index


def test_a_pipeline_that_ends_is_started_again(
    opened: Callable[..., Source], caplog: pytest.LogCaptureFixture
) -> None:
    source = opened("videotestsrc is-live=true num-buffers=4 pattern=ball ! videoconvert")
    while source.reconnects < 2:
        assert source.read() is not None
    assert "is lost: it gives no more frames" in caplog.text


def test_a_pipeline_whose_process_is_stopped_counts_as_lost(
    opened: Callable[..., Source], caplog: pytest.LogCaptureFixture
) -> None:
    source = opened("videotestsrc is-live=true pattern=ball ! videoconvert", stall=1)
    assert source.read() is not None
    hanging = connected(source)._process
    hanging.send_signal(signal.SIGSTOP)
    while not source.reconnects:
        assert source.read() is not None
    assert hanging.wait(20) == -signal.SIGKILL, "it is not left behind"


def connected(source: Source) -> BindingCapture:
    """The capture that runs, found where its thread keeps it."""
    found = [o for o in gc.get_objects() if type(o) is BindingCapture]
    return next(one for one in found if one._process.poll() is None)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("nosuchsrc ! fakesink", 'pipeline: GStreamer says: no element "nosuchsrc"'),
        ("filesrc location=/none ! decodebin", "pipeline: GStreamer says: Resource not found"),
        ("videotestsrc ! video/x-raw, format=RGB ! appsink", "gets RGB; expected BGR"),
    ],
)
def test_a_pipeline_that_does_not_start_is_one_line(
    opened: Callable[..., Source], pipeline: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message) as got:
        opened(pipeline)
    assert "\n" not in str(got.value)
