"""The loop: capture in one thread, inference in the caller's, one handoff a frame between them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from types import TracebackType
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import Pending, PipelinedBackend, in_flight, shares_cores
from edgecnn_runtime.backends.switching import Done
from edgecnn_runtime.camera.newest import Handoff, every_frame, newest_frame
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.classifier import Classifier, Prediction
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.latency.histogram import Histogram
from edgecnn_runtime.latency.stages import StageTimes
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.summary import StreamSummary, summarise

__all__ = ["Result", "Stream"]

READ_AHEAD = 2  # frames of a file that wait in memory, preprocessed
PROBE = 16  # frames of a file by which it is decided whether to read ahead
DEAR = 0.2  # of inference: reading that takes more is worth a thread of its own


class _Ready(NamedTuple):
    """A captured frame, and where it was preprocessed ahead: the graph's input and the time."""

    captured: Captured
    inputs: NDArray[np.uint8] | None
    preprocess_ns: int


class _Started(NamedTuple):
    """A frame that the network works on, and what it cost so far."""

    ready: _Ready
    pending: Pending
    backend: str
    spent_ns: int


class Stream:
    """Classify or filter what a source gives, one `Result` after another.

    Of a live source the newest frame is taken and older ones are dropped, so that a slow consumer
    is never behind; of a file every frame is taken, and where it pays, decoded and preprocessed
    ahead while the network runs; a GPU then gets the next frame before it has answered to the last.
    Ends with the source, with `close`, or when the loop over it is
    left.

    >>> for result in Stream(classify, source=0):
    ...     print(result.best.label, result.frame_age_ms)

    Args:
        classifier: a classifier, or a filter whose results have a picture; stays open when the
            stream ends.
        source: what `open_source` takes, or an opened source, which the stream then closes.
        frames: stop after so many results.

    Raises:
        SourceError: the source cannot be opened; later, from the loop, that it cannot be read.
    """

    def __init__(
        self,
        classifier: Classifier | ImageFilter,
        source: int | str | Path | Source = 0,
        *,
        name: str | None = None,
        frames: int | None = None,
    ) -> None:
        self.classifier = classifier
        self.source: Source = (
            open_source(source, name=name) if isinstance(source, (int, str, Path)) else source
        )
        self.times = StageTimes()
        self.frame_age = Histogram()
        self._limit = frames
        self._handoff: Handoff[_Ready] = (
            newest_frame() if self.source.is_live else every_frame(READ_AHEAD)
        )
        self._thread: threading.Thread | None = None
        self._reading_ns: list[int] = []
        self._began_ns = 0
        self._last_ns = 0

    def __iter__(self) -> Iterator[Result]:
        """The results. Leaving the loop stops capture and releases the source."""
        if self._began_ns:
            raise RuntimeError("a stream is read once; make another Stream to read it again")
        self._began_ns = self._last_ns = perf_counter_ns()
        in_turn = not self.source.is_live and shares_cores(self.classifier.backend)
        if not in_turn:
            self._start_capture()
        started: deque[_Started] = deque()
        failed: Exception | None = None
        try:
            left = self._limit
            while left != 0:
                try:
                    ready = self._read_in_turn() if in_turn else self._handoff.get()
                except Exception as error:  # told after the answers that are still on their way
                    failed = error
                    break
                if ready is None:
                    break
                started.append(self._start(ready))
                left = left - 1 if left is not None else None
                while len(started) >= self._most_in_flight():
                    yield self._finish(started.popleft())
                if in_turn and self._ends_in_turn():
                    in_turn = False
                    self._start_capture()
            while started:
                yield self._finish(started.popleft())
            if failed is not None:
                raise failed
        finally:
            self.close()

    def _most_in_flight(self) -> int:
        """Of a camera one frame: the next one would only wait in line and grow old."""
        return 1 if self.source.is_live else in_flight(self.classifier.backend)

    def _ends_in_turn(self) -> bool:
        """Whether reading is worth a thread, or has nobody to share the cores with any more."""
        if not shares_cores(self.classifier.backend):
            return True
        return len(self._reading_ns) == PROBE and self._is_reading_dear()

    def _read_in_turn(self) -> _Ready | None:
        """The next frame of a file, without a thread.

        Inference on all cores waits for the slowest of them: a thread that decodes meanwhile takes
        more from it than it saves, unless decoding is a good part of the work.
        """
        began = perf_counter_ns()
        captured = self.source.read()
        ready = None if captured is None else self._prepare(captured)
        if len(self._reading_ns) <= PROBE:
            self._reading_ns.append(perf_counter_ns() - began)
        return ready

    def _is_reading_dear(self) -> bool:
        (infer_ns,) = self.times.infer.percentiles_ns(0.5)
        return median(self._reading_ns) > DEAR * infer_ns

    def _start_capture(self) -> None:
        self._thread = threading.Thread(target=self._capture, name="edgecnn-capture", daemon=True)
        self._thread.start()

    def _capture(self) -> None:
        error: BaseException | None = None
        source, handoff, ahead = self.source, self._handoff, not self.source.is_live
        try:
            while (captured := source.read()) is not None:
                if not handoff.put(self._prepare(captured) if ahead else _Ready(captured, None, 0)):
                    break
        except BaseException as caught:  # whatever it is, it belongs to the one who reads
            error = caught
        finally:
            source.close()
            handoff.finish(error)

    def _prepare(self, captured: Captured) -> _Ready:
        began = perf_counter_ns()
        inputs = self.classifier.preprocess(captured.frame)[None]
        return _Ready(captured, inputs, perf_counter_ns() - began)

    def _start(self, ready: _Ready) -> _Started:
        if ready.inputs is None:
            ready = self._prepare(ready.captured)
        assert ready.inputs is not None
        classifier = self.classifier
        began = perf_counter_ns()
        pending: Pending
        if self._most_in_flight() > 1:
            pending = cast(PipelinedBackend, classifier.backend).submit(ready.inputs)
        else:
            pending = Done(classifier.infer(ready.inputs))
        spent_ns = perf_counter_ns() - began
        return _Started(ready, pending, classifier.backend.name, spent_ns)

    def _finish(self, started: _Started) -> Result:
        captured, _, preprocess_ns = started.ready
        began = perf_counter_ns()
        answers = started.pending.result()
        inferred = perf_counter_ns()
        answer = self.classifier.decide(answers[0])
        done = self._last_ns = perf_counter_ns()
        infer_ns, postprocess_ns, age_ns = (
            started.spent_ns + inferred - began,
            done - inferred,
            done - captured.stamp_ns,
        )
        times = self.times
        times.preprocess.record(preprocess_ns)
        times.infer.record(infer_ns)
        times.postprocess.record(postprocess_ns)
        times.end_to_end.record(preprocess_ns + infer_ns + postprocess_ns)
        self.frame_age.record(age_ns)
        predictions, picture = _parted(answer)
        return Result(
            self.source.name,
            captured.index,
            predictions,
            captured.frame,
            captured.utc,
            age_ns / 1e6,
            preprocess_ns / 1e6,
            infer_ns / 1e6,
            postprocess_ns / 1e6,
            picture,
            started.backend,
        )

    def stop(self) -> None:
        """Let the loop end soon. From any thread or signal handler; waits for nothing."""
        self.source.stop()
        self._handoff.close()

    def close(self) -> None:
        """Stop, and wait until capture has ended and the source is released."""
        self.stop()
        if self._thread is None:
            self.source.close()
        elif self._thread is not threading.current_thread():
            # A driver that hangs in a call must not hang us: its thread is a daemon.
            self._thread.join(timeout=10)

    @property
    def fps(self) -> float:
        """Results a second since the start."""
        seconds = (self._last_ns - self._began_ns) / 1e9
        return self.times.infer.count / seconds if seconds > 0 else 0.0

    @property
    def dropped(self) -> int:
        """Frames of a live source that a newer one replaced before they were classified."""
        return self._handoff.dropped

    def summary(self) -> StreamSummary:
        """The figures of the stream so far, or of the whole of it once it has ended."""
        return summarise(self)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _parted(
    answer: list[Prediction] | NDArray[np.uint8],
) -> tuple[list[Prediction], NDArray[np.uint8] | None]:
    """Predictions of a classifier, or the picture of a filter."""
    return (answer, None) if isinstance(answer, list) else ([], answer)
