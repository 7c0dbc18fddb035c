"""Several cameras on one engine, and whether the age that is told of a frame is true."""

from __future__ import annotations

import threading
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.camera.settings import settings_of
from edgecnn_runtime.camera.several import Wanted, open_sources
from edgecnn_runtime.camera.source import Captured, Source, stamped
from edgecnn_runtime.camera.synthetic import Synthetic, SyntheticSource, burned
from edgecnn_runtime.classifier import Classifier, Prediction
from edgecnn_runtime.errors import SourceError
from edgecnn_runtime.stream.batching import batch_for
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.run import run_stream
from edgecnn_runtime.stream.sinks import Sink

FPS = 20.0


def cameras(count: int, frames: int | None = None) -> list[Source]:
    made = (Synthetic((160, 120), FPS, seed, frames) for seed in range(count))
    return [SyntheticSource(f"camera-{what.seed}", what) for what in made]


class Dies(SyntheticSource):
    """A camera that is given up after some frames."""

    def read(self) -> Captured | None:
        captured = super().read()
        if captured is not None and captured.index >= 10:
            raise SourceError("camera camera-3 is given up")
        return captured


def test_the_age_that_is_told_of_a_frame_is_that_which_its_pixels_tell(
    classify: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How near, `tests/benchmarks/frame_age.py` measures."""
    answered: list[int] = []
    decide = classify.decide

    def noted(probabilities: NDArray[np.float32]) -> list[Prediction]:
        predictions = decide(probabilities)
        answered.append(perf_counter_ns())
        return predictions

    monkeypatch.setattr(classify, "decide", noted)
    for result in Stream(classify, cameras(1), frames=20):
        given = perf_counter_ns()
        made_ns = burned(result.frame)
        assert made_ns is not None
        told_ns = result.frame_age_ms * 1e6
        assert answered[-1] - made_ns <= told_ns <= given - made_ns


def test_a_sink_that_hangs_makes_no_frame_wait(classify: Classifier) -> None:
    """How old frames become under a slow one, `tests/benchmarks/frame_age.py` measures."""
    let_go = threading.Event()
    given: list[int] = []

    class Hangs:
        def write(self, result: Result) -> None:
            assert let_go.wait(30)

        def close(self) -> None:
            pass

    class Given(SyntheticSource):
        def read(self) -> Captured | None:
            captured = super().read()
            if captured is not None:
                given.append(captured.index)
            return captured

    def end(result: Result, fps: float) -> None:
        if result.index >= 50:
            let_go.set()

    sink = Sink("hangs", Hangs(), lossless=False)
    source = Given("camera", Synthetic((160, 120), FPS, 0, 60))
    report = run_stream(Stream(classify, source), [sink], on_status=end)
    assert given[-1] == 59
    assert report.frames + report.dropped == 60, "capture and inference went on"
    assert report.sinks[0].dropped > 20


def test_eight_cameras_share_one_engine_evenly_and_one_that_dies_leaves_the_others_alone(
    classify: Classifier,
) -> None:
    sources = cameras(8, 60)
    sources[3] = Dies("camera-3", Synthetic((160, 120), FPS, 3))
    stream = Stream(classify, sources)
    results = list(stream)
    summary = stream.summary()
    assert len(results) == summary.frames == sum(one.frames for one in summary.sources)
    dead = summary.sources[3]
    assert (dead.frames <= 10, dead.error) == (True, "camera camera-3 is given up")
    alive = [one for one in summary.sources if one.name != "camera-3"]
    assert [one.error for one in alive] == [None] * 7
    frames = [one.frames for one in alive]
    assert min(frames) >= 0.9 * max(frames)
    for result in results[::20]:
        assert result.predictions == classify(result.frame)


class Ready:
    """A live camera that always has a frame: who gets a turn, the loop alone decides."""

    is_live, age_from, fps, reconnects, errors, dropped = True, "arrival", None, 0, 0, 0

    def __init__(self, name: str, frame: NDArray[np.uint8]) -> None:
        self.name, self._frame = name, frame
        self._index = -1
        self._stopped = threading.Event()

    def read(self) -> Captured | None:
        self._index += 1
        self._stopped.wait(0.0005)
        return None if self._stopped.is_set() else stamped(self._frame, self._index)

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None: ...


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_eight_cameras_that_all_have_a_frame_take_turns(
    classify: Classifier, photographs: dict[str, NDArray[np.uint8]], batch: int
) -> None:
    """By counts and not by the clock: the engine is always too slow for all of them."""
    frame = photographs["coffee"]
    stream = Stream(classify, [Ready(f"camera-{n}", frame) for n in range(8)], batch=batch)
    turns: list[str] = []
    for result in stream:
        turns.append(result.source)
        threading.Event().wait(0.002)
        if len(turns) == 240:
            break
    counts = [turns[16:].count(f"camera-{n}") for n in range(8)]
    assert min(counts) >= 0.9 * max(counts), counts


def test_a_source_that_is_slow_to_answer_for_all_gets_no_more_than_its_turn(
    classify: Classifier,
) -> None:
    """One camera is ten times as fast as the others, and the engine too slow for all."""
    fast = SyntheticSource("fast", Synthetic((160, 120), 400.0, 0))
    slow = [SyntheticSource(f"slow-{n}", Synthetic((160, 120), 40.0, n)) for n in range(3)]
    counts: dict[str, int] = {}
    for result in Stream(classify, [fast, *slow], frames=80, batch=1):
        counts[result.source] = counts.get(result.source, 0) + 1
        threading.Event().wait(0.012)
    assert counts["fast"] <= 0.5 * 80
    assert min(counts.values()) >= 10


def test_every_frame_of_a_live_source_is_answered_as_far_as_the_queue_reaches(
    classify: Classifier,
) -> None:
    indices = []
    for result in Stream(classify, cameras(1, 20), every_frame=True):
        indices.append(result.index)
        if result.index == 0:
            threading.Event().wait(0.3)  # six frames' time
    assert indices == list(range(indices[-1] + 1))
    assert indices[-1] >= 18


def test_a_source_of_its_own_can_be_one_of_which_every_frame_is_wanted(
    classify: Classifier,
) -> None:
    asked = "synthetic://?size=160x120&frames=20&every_frame=yes"
    stream = Stream(classify, [*open_sources([Wanted(asked, "every")]), *cameras(1, 20)])
    assert [feed.every_frame for feed in stream.feeds] == [True, False]
    indices: dict[str, list[int]] = {"every": [], "camera-0": []}
    for result in stream:
        if not any(indices.values()):
            threading.Event().wait(0.3)  # six frames' time
        indices[result.source].append(result.index)
    assert indices["every"] == list(range(len(indices["every"])))
    assert len(indices["every"]) >= 18
    assert len(indices["camera-0"]) < 18


def test_frames_of_several_cameras_go_through_the_network_together(
    classify: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    infer = classify.backend.infer

    def counted(frames: NDArray[np.uint8]) -> NDArray[Any]:
        sizes.append(len(frames))
        return infer(frames)

    monkeypatch.setattr(classify.backend, "infer", counted)
    results = []
    for result in Stream(classify, cameras(4, 10), batch=4):
        results.append(result)
        threading.Event().wait(0.02)
    assert max(sizes) > 1
    for result in results:
        assert result.predictions[0].probability == pytest.approx(
            classify(result.frame)[0].probability, abs=1e-6
        )


class Engine:
    """Takes a time of its own for each batch, and one for each frame in it."""

    name, input_shape = "fake", (32, 32, 3)

    def __init__(self, per_batch: int, per_frame: int) -> None:
        self.costs = per_batch, per_frame
        self.now_ns = 0

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        self.now_ns += self.costs[0] + self.costs[1] * len(frames)
        return np.ones((len(frames), 3), np.float32)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("per_batch", "per_frame", "cameras", "expected"),
    [(20, 0, 4, 4), (20, 5, 20, 8), (0, 10, 4, 1), (1, 100, 4, 1), (20, 0, 1, 1)],
)
def test_a_batch_is_used_only_where_it_was_measured_to_be_faster(
    classify: Classifier, per_batch: int, per_frame: int, cameras: int, expected: int
) -> None:
    engine = Engine(per_batch, per_frame)
    model = Classifier(classify.manifest, engine)
    assert batch_for(model, cameras, lambda: engine.now_ns) == expected
    assert (engine.now_ns == 0) == (cameras == 1), "one camera is not measured"


def test_the_same_film_twice_has_two_names(clip: Path) -> None:
    sources = open_sources([Wanted(str(clip)), Wanted(str(clip)), Wanted(str(clip), "pan")])
    assert [source.name for source in sources] == ["pan.mp4", "pan.mp4-2", "pan"]
    for source in sources:
        source.close()


def test_a_film_that_is_absent_is_an_error_beside_a_camera_that_is(clip: Path) -> None:
    settings = settings_of({"retries": 1})
    with pytest.raises(SourceError, match="no such source"):
        open_sources([Wanted(str(clip)), Wanted("nothing.mp4"), Wanted("97", None, settings)])
