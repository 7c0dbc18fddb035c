"""The loop: capture in a thread for each source, inference in the caller's."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from types import TracebackType
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.backends import (
    Pending,
    PipelinedBackend,
    in_flight,
    set_power,
    shares_cores,
    spent_ns,
)
from edgecnn_runtime.backends.switching import Done
from edgecnn_runtime.camera.intake import Intake
from edgecnn_runtime.camera.source import Captured, Source
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.classifier import Classifier, Prediction
from edgecnn_runtime.errors import InputError, one_line
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.latency.histogram import Histogram
from edgecnn_runtime.latency.stages import StageTimes
from edgecnn_runtime.stream.batching import batch_for
from edgecnn_runtime.stream.feed import Feed
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.summary import StreamSummary, summarise

__all__ = ["Result", "Stream"]

log = logging.getLogger("edgecnn")

PROBE = 16  # frames of a file by which it is decided whether to read ahead
CLOSING = 10  # seconds to wait for captures to end
DEAR = 0.2  # of inference: reading that takes more is worth a thread of its own


class _Ready(NamedTuple):
    """A captured frame, and where it was preprocessed ahead: the graph's input and the time."""

    captured: Captured
    inputs: NDArray[np.uint8] | None
    preprocess_ns: int


class _Started(NamedTuple):
    """Frames that the network works on at once, the feed of each, and what they cost so far."""

    feeds: list[Feed[_Ready]]
    ready: list[_Ready]
    pending: Pending
    backend: str
    spent_ns: int


class Stream:
    """Classify or filter what a source gives, one `Result` after another.

    Of a live source the newest frame is taken and older ones are dropped, so that a slow consumer
    is never behind; of a file every frame is taken, and where it pays, decoded and preprocessed
    ahead while the network runs; a GPU, or a CPU that was opened for `throughput`, then gets the
    next frame before it has answered to the last. Several sources take turns; one that ends or
    fails leaves the others alone. Ends with the last source, with
    `close`, or when the loop over it is left.

    >>> for result in Stream(classify, source=0):
    ...     print(result.best.label, result.frame_age_ms)

    Args:
        classifier: a classifier, or a filter whose results have a picture; stays open when the
            stream ends.
        source: what `open_source` takes, an opened source, or several opened ones, as of
            `open_sources`; the stream then closes them.
        frames: stop after so many results.
        every_frame: of every live source too, as far as a queue of `QUEUE` reaches; of those that
            were opened so where False.
        batch: how many frames of different sources are inferred at once, at the most; measured at
            the start where None.
        power: `save` lets the CPU's threads sleep between frames, `latency` lets them wait awake,
            `throughput` gives each a frame of its own, for files; as the classifier was opened
            where None. Nothing happens to a GPU.

    Raises:
        InputError: `power` is something else, or `throughput` of a live source.
        SourceError: the source cannot be opened; later, from the loop, that it cannot be read, or
            that none of several can.
    """

    def __init__(
        self,
        classifier: Classifier | ImageFilter,
        source: int | str | Path | Source | Sequence[Source] = 0,
        *,
        name: str | None = None,
        frames: int | None = None,
        every_frame: bool = False,
        batch: int | None = None,
        power: str | None = None,
    ) -> None:
        self.classifier = classifier
        if power is not None:
            set_power(classifier.backend, power)
        self.sources: list[Source]
        if isinstance(source, (int, str, Path)):
            self.sources = [open_source(source, name=name)]
        else:
            self.sources = [*source] if isinstance(source, Sequence) else [source]
        if not self.sources:
            raise InputError("a stream needs a source, and got none")
        if power == "throughput" and self.is_live:
            for opened in self.sources:
                opened.close()
            raise InputError(
                "power 'throughput' runs several frames at once, and a live source has only its"
                " newest; expected 'save' or 'latency'"
            )
        self.times = StageTimes()
        self.frame_age = Histogram()
        self.feeds: list[Feed[_Ready]] = [Feed(s, every_frame=every_frame) for s in self.sources]
        self._limit = frames
        self._batch = batch
        self._intake = Intake([feed.lane for feed in self.feeds])
        self._threads: list[threading.Thread] = []
        self._reading_ns: list[int] = []
        self._began_ns = 0
        self._last_ns = 0

    @property
    def source(self) -> Source:
        """The first, or only, source."""
        return self.sources[0]

    @property
    def is_live(self) -> bool:
        """Whether any source gives frames at its own pace."""
        return any(source.is_live for source in self.sources)

    def __iter__(self) -> Iterator[Result]:
        """The results. Leaving the loop stops capture and releases the sources."""
        if self._began_ns:
            raise RuntimeError("a stream is read once; make another Stream to read it again")
        one_file = len(self.sources) == 1 and not self.is_live
        backend = self.classifier.backend
        in_turn = one_file and shares_cores(backend) and in_flight(backend) == 1
        if self._batch is None:
            self._batch = batch_for(self.classifier, len(self.sources))
        self._began_ns = self._last_ns = perf_counter_ns()
        if in_turn:
            self.feeds[0].begin()
        else:
            self._start_capture()
        started: deque[_Started] = deque()
        failed: Exception | None = None
        try:
            left = self._limit
            while left != 0:
                try:
                    taken = self._read_in_turn() if in_turn else self._take(left)
                except Exception as error:  # told after the answers that are still on their way
                    failed = error
                    break
                if not taken:
                    break
                started.append(self._start(taken))
                left = left - len(taken) if left is not None else None
                while len(started) >= self._most_in_flight():
                    yield from self._finish(started.popleft())
                if in_turn and self._ends_in_turn():
                    in_turn = False
                    self._start_capture()
            while started:
                yield from self._finish(started.popleft())
            if failed is not None:
                raise failed
        finally:
            self.close()

    def _most_in_flight(self) -> int:
        """Of a camera one frame: the next one would only wait in line and grow old."""
        return 1 if self.is_live else in_flight(self.classifier.backend)

    def _ends_in_turn(self) -> bool:
        """Whether reading is worth a thread, or has nobody to share the cores with any more."""
        if not shares_cores(self.classifier.backend):
            return True
        return len(self._reading_ns) == PROBE and self._is_reading_dear()

    def _take(self, left: int | None) -> list[tuple[int, _Ready]]:
        """Frames of one source, or, in a batch, one of each source that has one."""
        assert self._batch is not None
        return self._intake.get(self._batch if left is None else min(self._batch, left))

    def _read_in_turn(self) -> list[tuple[int, _Ready]]:
        """The next frame of a file, without a thread.

        Inference on all cores waits for the slowest of them: a thread that decodes meanwhile takes
        more from it than it saves, unless decoding is a good part of the work.
        """
        began = perf_counter_ns()
        captured = self.source.read()
        ready = [] if captured is None else [(0, self._prepare(captured))]
        if len(self._reading_ns) <= PROBE:
            self._reading_ns.append(perf_counter_ns() - began)
        return ready

    def _is_reading_dear(self) -> bool:
        (infer_ns,) = self.times.infer.percentiles_ns(0.5)
        return median(self._reading_ns) > DEAR * infer_ns

    def _start_capture(self) -> None:
        for number, feed in enumerate(self.feeds):
            feed.begin()
            thread = threading.Thread(
                target=self._capture,
                args=(number,),
                name=f"edgecnn-capture {feed.source.name}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def _capture(self, number: int) -> None:
        error: BaseException | None = None
        feed, intake = self.feeds[number], self._intake
        source, ahead = feed.source, not feed.source.is_live
        try:
            while (captured := source.read()) is not None:
                ready = self._prepare(captured) if ahead else _Ready(captured, None, 0)
                if not intake.put(number, ready):
                    break
        except BaseException as caught:  # whatever it is, it belongs to the one who reads
            error = caught
            feed.error = one_line(caught)
            if len(self.feeds) > 1:
                log.warning("source %s has ended: %s", source.name, feed.error)
        finally:
            source.close()
            intake.finish(number, error)

    def _prepare(self, captured: Captured) -> _Ready:
        began = perf_counter_ns()
        inputs = self.classifier.preprocess(captured.frame)[None]
        return _Ready(captured, inputs, perf_counter_ns() - began)

    def _start(self, taken: list[tuple[int, _Ready]]) -> _Started:
        classifier = self.classifier
        ready = [r if r.inputs is not None else self._prepare(r.captured) for _, r in taken]
        inputs = [cast("NDArray[np.uint8]", r.inputs) for r in ready]
        began = perf_counter_ns()
        frames = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        pending: Pending
        if self._most_in_flight() > 1:
            pending = cast(PipelinedBackend, classifier.backend).submit(frames)
        else:
            pending = Done(classifier.infer(frames))
        spent_ns = perf_counter_ns() - began
        feeds = [self.feeds[number] for number, _ in taken]
        return _Started(feeds, ready, pending, classifier.backend.name, spent_ns)

    def _finish(self, started: _Started) -> Iterator[Result]:
        began = perf_counter_ns()
        answers = started.pending.result()
        infer_ns = spent_ns(started.pending)  # of a batch, what each waited for
        if infer_ns is None:
            infer_ns = started.spent_ns + perf_counter_ns() - began
        for feed, ready, answer in zip(started.feeds, started.ready, answers, strict=True):
            yield self._decide(feed, ready, answer, infer_ns, started.backend)

    def _decide(
        self, feed: Feed[_Ready], ready: _Ready, answer: NDArray[Any], infer_ns: int, backend: str
    ) -> Result:
        captured, _, preprocess_ns = ready
        began = perf_counter_ns()
        decided = self.classifier.decide(answer)
        done = self._last_ns = perf_counter_ns()
        postprocess_ns, age_ns = done - began, done - captured.stamp_ns
        times = self.times
        times.preprocess.record(preprocess_ns)
        times.infer.record(infer_ns)
        times.postprocess.record(postprocess_ns)
        times.end_to_end.record(preprocess_ns + infer_ns + postprocess_ns)
        self.frame_age.record(age_ns)
        feed.answered(done, age_ns)
        predictions, picture = _parted(decided)
        return Result(
            feed.source.name,
            captured.index,
            predictions,
            captured.frame,
            captured.utc,
            age_ns / 1e6,
            preprocess_ns / 1e6,
            infer_ns / 1e6,
            postprocess_ns / 1e6,
            picture,
            backend,
            film_s=captured.film_s,
        )

    def stop(self) -> None:
        """Let the loop end soon. From any thread or signal handler; waits for nothing."""
        for source in self.sources:
            source.stop()
        self._intake.close()

    def close(self) -> None:
        """Stop, and wait until capture has ended and the sources are released."""
        self.stop()
        if not self._threads:
            for source in self.sources:
                source.close()
        # A driver that hangs in a call must not hang us: its thread is a daemon.
        end = perf_counter_ns() + CLOSING * 10**9
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, (end - perf_counter_ns()) / 1e9))

    @property
    def fps(self) -> float:
        """Results a second since the start."""
        seconds = (self._last_ns - self._began_ns) / 1e9
        return self.times.infer.count / seconds if seconds > 0 else 0.0

    @property
    def dropped(self) -> int:
        """Frames of live sources that a newer one replaced before they were classified."""
        return sum(feed.dropped for feed in self.feeds)

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
