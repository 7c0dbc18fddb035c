from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.source import Captured, stamped
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import SourceError
from edgecnn_runtime.stream.loop import Stream

FRAME = np.zeros((24, 32, 3), np.uint8)


class Camera:
    """A live source that gives a frame whenever the test lets it."""

    name, is_live, fps, reconnects, errors, dropped = "camera", True, 30.0, 0, 0, 0
    age_from: Literal["capture", "arrival"] = "arrival"

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = 0
        self._error = error
        self._given = self._allowed = 0
        self._waits = False
        self._stopped = False
        self._changed = threading.Condition()

    def give(self, frames: int) -> None:
        """Let it give so many frames; returns once the loop has taken them and asks for more."""
        with self._changed:
            self._allowed += frames
            self._changed.notify_all()
            done = lambda: self._waits and self._given == self._allowed  # noqa: E731
            assert self._changed.wait_for(done, timeout=10)

    def read(self) -> Captured | None:
        with self._changed:
            self._waits = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or self._given < self._allowed)
            self._waits = False
            if self._stopped:
                return None
            if self._error:
                raise self._error
            self._given += 1
            return stamped(FRAME, self._given - 1)

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_a_slow_consumer_of_a_camera_gets_the_newest_frame_and_drops_are_counted(
    classify: Classifier,
) -> None:
    camera = Camera()
    with Stream(classify, camera) as stream:
        results = iter(stream)
        giver = threading.Thread(target=camera.give, args=(1,))
        giver.start()
        assert next(results).index == 0
        giver.join()
        camera.give(10)
        assert next(results).index == 10
        summary = stream.summary()
    assert (summary.frames, summary.dropped) == (2, 9)
    assert summary.sources[0].age_from == "arrival"
    assert camera.closed


def test_every_frame_of_a_file_is_classified_in_order(
    classify: Classifier, clip: Path, pan: list[NDArray[np.uint8]]
) -> None:
    stream = Stream(classify, clip)
    results = list(stream)
    assert [r.index for r in results] == list(range(40))
    for result in results:
        assert result.predictions == classify(result.frame)
    summary = stream.summary()
    assert (summary.frames, summary.dropped, summary.errors, summary.reconnects) == (40, 0, 0, 0)
    assert (summary.backend, summary.model) == ("onnxruntime", "which_colour")
    assert summary.sources[0].name == "pan.mp4"


def test_the_age_of_a_frame_is_at_least_the_work_on_it(classify: Classifier, clip: Path) -> None:
    for result in Stream(classify, clip):
        assert 0 < result.end_to_end_ms <= result.frame_age_ms
        assert result.captured_at.tzname() == "UTC"


def test_stages_add_up_to_the_end_to_end_mean(classify: Classifier, clip: Path) -> None:
    stream = Stream(classify, clip)
    list(stream)
    summary = stream.summary()
    stages = summary.stages
    total = stages.preprocess.mean + stages.infer.mean + stages.postprocess.mean
    assert summary.end_to_end.mean == pytest.approx(total, abs=1e-3)


def test_leaving_the_loop_stops_capture_and_releases_the_source(classify: Classifier) -> None:
    camera = Camera()
    giver = threading.Thread(target=camera.give, args=(1,))
    giver.start()
    for _ in Stream(classify, camera):
        giver.join()
        break
    assert camera.closed


def test_an_exception_in_the_loops_body_releases_the_source(
    classify: Classifier, clip: Path
) -> None:
    stream = Stream(classify, clip)

    def body() -> None:
        for _ in stream:
            raise RuntimeError("the user's")

    with pytest.raises(RuntimeError, match="the user's"):
        body()


def test_a_stream_can_be_closed_from_another_thread_while_it_waits(classify: Classifier) -> None:
    camera = Camera()
    stream = Stream(classify, camera)
    closer = threading.Thread(target=lambda: (camera.give(0), stream.close()))
    closer.start()
    assert list(stream) == []
    closer.join()
    assert camera.closed


def test_a_stream_that_was_never_read_releases_its_source(classify: Classifier) -> None:
    camera = Camera()
    with Stream(classify, camera):
        pass
    assert camera.closed


def test_an_error_of_capture_reaches_the_one_who_reads(classify: Classifier) -> None:
    camera = Camera(SourceError("the driver is gone"))
    camera._allowed = 1
    with pytest.raises(SourceError, match="the driver is gone"):
        list(Stream(classify, camera))


def test_a_stream_ends_after_as_many_frames_as_asked(classify: Classifier, clip: Path) -> None:
    assert [r.index for r in Stream(classify, clip, frames=7)] == list(range(7))


def test_a_stream_is_read_once(classify: Classifier, clip: Path) -> None:
    stream = Stream(classify, clip, frames=1)
    list(stream)
    with pytest.raises(RuntimeError, match="read once"):
        next(iter(stream))


def test_a_summary_before_the_first_frame_is_all_zeros(classify: Classifier, clip: Path) -> None:
    with Stream(classify, clip) as stream:
        summary = stream.summary()
    assert (summary.frames, summary.fps, summary.end_to_end.p999) == (0, 0.0, 0.0)


def test_a_video_without_a_frame_is_an_error_in_the_loop(
    classify: Classifier, tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    path = make_clip(tmp_path / "x.avi", [np.zeros((120, 160, 3), np.uint8)] * 30)
    content = path.read_bytes()
    begin = content.index(b"movi") + 4
    path.write_bytes(content[:begin] + bytes(len(content) - begin))
    with pytest.raises(SourceError, match=r"no frame that decodes|does not open"):
        list(Stream(classify, path))


def test_of_a_video_cut_short_every_frame_that_is_left_is_classified_and_the_rest_is_an_error(
    classify: Classifier,
    tmp_path: Path,
    make_clip: Callable[..., Path],
    pan: list[NDArray[np.uint8]],
) -> None:
    path = make_clip(tmp_path / "x.avi", pan)  # its index lies at the end, the count at the front
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stream = Stream(classify, path)
    results = list(stream)
    assert [r.index for r in results] == list(range(len(results)))
    assert 0 < len(results) < 40
    for result, original in zip(results, pan, strict=False):
        assert np.abs(result.frame.astype(int) - original).mean() < 8
    assert (stream.summary().frames, stream.summary().errors) == (len(results), 1)


def test_a_broken_image_in_a_folder_is_in_the_summary(
    classify: Classifier, tmp_path: Path, pan: list[NDArray[np.uint8]]
) -> None:
    import cv2

    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), pan[number])
    (tmp_path / "1.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:-50])
    stream = Stream(classify, tmp_path)
    assert len(list(stream)) == 2
    assert stream.summary().errors == 1
