from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from itertools import count

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera import live, patience
from edgecnn_runtime.camera.live import CameraSource
from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.camera.worth import FrameCheck
from edgecnn_runtime.errors import SourceError

_noise = np.random.default_rng(7)
HANGS = "hangs"


def picture(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A new one each time, as a sensor with its noise gives it."""
    return _noise.integers(0, 256, (height, width, 3), np.uint8)


class FakeCapture:
    """Gives these frames and is then lost, or hangs where `HANGS` stands."""

    def __init__(self, *frames: object) -> None:
        self.frames = deque(frames)
        self.released = False
        self.let_go = threading.Event()

    def grab(self) -> bool:
        if self.frames and self.frames[0] is HANGS:
            self.let_go.wait(20)
            return False
        return bool(self.frames)

    def retrieve(self) -> tuple[bool, object]:
        return True, self.frames.popleft()

    def get(self, prop: int, /) -> float:
        return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    def release(self) -> None:
        self.released = True


class FakeCamera:
    """What each attempt to connect meets: a capture, or None for an error."""

    def __init__(self, *attempts: FakeCapture | None) -> None:
        self.attempts = deque(attempts)

    def __call__(self) -> FakeCapture:
        capture = self.attempts.popleft()
        if capture is None:
            raise SourceError("not there")
        return capture


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread.name


def no_pause(seconds: float) -> None:
    pass


def test_a_lost_camera_is_found_again_after_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = FakeCapture(picture(), picture()), FakeCapture(picture())
    pauses: list[float] = []
    source = CameraSource(
        "front",
        FakeCamera(first, None, None, second),
        pause=pauses.append,
        jitter=lambda: 1.0,
        depth=8,
    )
    frames = [source.read() for _ in range(3)]
    assert [c.index for c in frames if c is not None] == [0, 1, 2]
    assert source.reconnects == 1
    assert pauses == [0.25, 0.5, 1.0]
    assert first.released
    assert "camera front is lost: it gives no more frames" in caplog.text
    assert "camera front is back" in caplog.text
    source.close()


@pytest.mark.parametrize("error", [OSError(19, "No such device"), cv2.error("select timeout")])
def test_a_driver_that_raises_is_a_camera_that_is_lost(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(FakeCapture):
        def grab(self) -> bool:
            if not self.frames:
                raise error
            return True

    first = Raises(picture())
    camera = FakeCamera(first, FakeCapture(picture()))
    source = CameraSource("x", camera, pause=no_pause)
    assert [c.index for _ in range(2) if (c := source.read())] == [0, 1]
    assert (source.reconnects, first.released) == (1, True)
    assert str(error) in caplog.text
    source.close()


def test_pauses_are_jittered_and_end_at_a_longest() -> None:
    pauses: list[float] = []
    camera = FakeCamera(FakeCapture(), *[None] * 12, FakeCapture(picture()))
    source = CameraSource("x", camera, pause=pauses.append, jitter=lambda: 0.0)
    source.read()
    source.close()
    assert pauses[0] == 0.125
    assert max(pauses) == pauses[-1] == patience.LONGEST_PAUSE / 2


def test_a_camera_is_given_up_after_as_many_attempts_as_asked() -> None:
    camera = FakeCamera(FakeCapture(), None, None, None)
    source = CameraSource("x", camera, patience=Patience(retries=3), pause=no_pause)
    with pytest.raises(SourceError, match="camera x is given up after 3 attempts: not there"):
        source.read()


def test_a_camera_that_hangs_in_its_driver_is_left_and_opened_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hanging, good = FakeCapture(picture(), HANGS), FakeCapture(picture())
    source = CameraSource(
        "x",
        FakeCamera(hanging, good),
        patience=Patience(stall=0.3),
        pause=no_pause,
    )
    live.RELEASE, before = 0.05, live.RELEASE
    try:
        assert source.read() is not None
        assert source.read() is not None
    finally:
        live.RELEASE = before
    assert source.reconnects == 1
    assert "camera x is lost: it gave no frame for 0.3 s" in caplog.text
    assert not hanging.released, "its call has not come back"
    hanging.let_go.set()
    source.close()


def test_a_driver_that_hangs_every_time_does_not_gather_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "RELEASE", 0.01)
    opened: list[FakeCapture] = []

    def connect() -> FakeCapture:
        opened.append(FakeCapture(HANGS))
        return opened[-1]

    quick = Patience(stall=0.05, retries=20)
    source = CameraSource("x", connect, patience=quick, pause=no_pause)
    with pytest.raises(SourceError, match="4 calls into its driver hang"):
        source.read()
    assert len(opened) == live.MOST_HANGING
    for capture in opened:
        capture.let_go.set()


def test_a_camera_that_does_not_answer_in_time_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "RELEASE", 0.01)
    answer = threading.Event()

    def connect() -> FakeCapture:
        answer.wait(20)
        return FakeCapture()

    with pytest.raises(SourceError, match=r"x does not answer within 0\.1 s"):
        CameraSource("x", connect, patience=Patience(open_timeout=0.1))
    answer.set()


def test_a_frozen_camera_is_opened_again_and_its_repeats_are_never_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frozen, fresh = picture(), picture()
    camera = FakeCamera(FakeCapture(*[frozen] * 5, HANGS), FakeCapture(fresh))
    captures = list(camera.attempts)
    source = CameraSource("x", camera, patience=Patience(stall=0.2), pause=no_pause, depth=8)
    frames = [source.read(), source.read()]
    assert [f is not None and f.frame is p for f, p in zip(frames, (frozen, fresh), strict=True)]
    assert [f.index for f in frames if f is not None] == [0, 1]
    assert "camera x is lost: it repeats one picture" in caplog.text
    captures[0].let_go.set()
    source.close()


def test_a_scene_that_is_as_still_after_opening_again_is_taken_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    still = picture()
    first = FakeCapture(*[still] * 5, HANGS)
    second = FakeCapture(*[still.copy() for _ in range(3)])
    camera = FakeCamera(first, second)
    source = CameraSource("x", camera, patience=Patience(stall=0.2), pause=no_pause, depth=8)
    assert [c.index for _ in range(4) if (c := source.read())] == [0, 1, 2, 3]
    assert "shows the same picture after it was opened again" in caplog.text
    first.let_go.set()
    source.close()


@pytest.mark.parametrize("nothing", [np.empty((0, 0, 3), np.uint8), "no frame", None])
def test_a_frame_that_does_not_decode_is_counted_and_never_given(nothing: object) -> None:
    good = picture(), picture()
    camera = FakeCamera(FakeCapture(good[0], nothing, good[1]))
    source = CameraSource("x", camera, pause=no_pause, depth=8)
    frames = [source.read(), source.read()]
    assert [c.frame is g for c, g in zip(frames, good, strict=True) if c is not None] == [True] * 2
    assert (source.errors, source.reconnects) == (1, 0)
    source.close()


@pytest.mark.parametrize("level", [0, 128])
def test_a_picture_of_one_level_is_no_picture(level: int) -> None:
    check = FrameCheck("x")
    assert not check.is_new(np.full((48, 64, 3), level, np.uint8))
    assert check.why == "its pictures are blank"
    spot = np.full((48, 64, 3), level, np.uint8)
    spot[17, 5] = 255
    assert check.is_new(spot)
    assert FrameCheck("screen", blank=True).is_new(np.zeros((48, 64, 3), np.uint8))


def test_a_new_size_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    camera = FakeCamera(FakeCapture(picture(), picture(96, 128), picture(96, 128)))
    source = CameraSource("x", camera, depth=8)
    assert [c.frame.shape[0] for _ in range(3) if (c := source.read())] == [48, 96, 96]
    source.close()
    said = [r.message for r in caplog.records if "now" in r.message]
    assert said == ["camera x: frames are 128x96 now, they were 64x48"]


def test_a_slow_reader_gets_the_newest_frame_and_the_others_count_as_dropped() -> None:
    last = picture()
    capture = FakeCapture(picture(), picture(), last, HANGS)
    source = CameraSource("x", FakeCamera(capture))
    for _ in count():
        if source.dropped == 2:
            break
        threading.Event().wait(0.005)
    captured = source.read()
    assert captured is not None
    assert (captured.index, captured.frame is last) == (2, True)
    capture.let_go.set()
    source.close()


def test_a_stop_ends_a_pause_between_attempts() -> None:
    source: CameraSource

    def pause(seconds: float) -> None:
        source.stop()

    source = CameraSource("x", FakeCamera(FakeCapture()), pause=pause)
    assert source.read() is None


def test_a_stop_ends_a_read_that_waits() -> None:
    capture = FakeCapture(HANGS)
    source = CameraSource("x", FakeCamera(capture))
    stopper = threading.Timer(0.05, source.stop)
    stopper.start()
    assert source.read() is None
    capture.let_go.set()
    source.close()
    stopper.join()


def test_a_live_camera_gives_arrival_stamps_and_its_rate() -> None:
    source = CameraSource("x", FakeCamera(FakeCapture(picture())))
    assert (source.is_live, source.age_from, source.fps) == (True, "arrival", 30.0)
    captured = source.read()
    assert captured is not None
    assert captured.utc.utcoffset() is not None
    source.close()


def test_a_camera_that_is_absent_at_the_start_is_an_error() -> None:
    with pytest.raises(SourceError, match="not there"):
        CameraSource("x", FakeCamera(None))


def test_one_that_may_come_later_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    camera = FakeCamera(None, None, FakeCapture(picture()))
    source = CameraSource("x", camera, later=True, pause=no_pause)
    assert source.read() is not None
    assert source.reconnects == 0, "it was never connected before"
    assert "camera x does not open: not there; looking for it" in caplog.text
    source.close()
