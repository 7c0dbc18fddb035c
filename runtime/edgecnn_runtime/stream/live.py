"""The figures of a stream while it runs, for whoever looks: terminal, page, Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from time import perf_counter

from edgecnn_runtime.classifier import Prediction
from edgecnn_runtime.latency.histogram import Histogram
from edgecnn_runtime.latency.recent import Recent, covered_seconds
from edgecnn_runtime.latency.stages import Percentiles
from edgecnn_runtime.stream.result import Event, Result
from edgecnn_runtime.stream.sink import SinkSummary
from edgecnn_runtime.stream.summary import StreamSummary

STAGES = ("preprocess", "infer", "postprocess", "end_to_end", "frame_age")
FRESH = 0.25  # seconds for which figures are not computed again, however many look
EVENTS = 8  # that are remembered


@dataclass(frozen=True)
class Latest:
    """The last result of a source, without its pictures. `label` is the answer that is shown."""

    label: str
    probability: float
    predictions: list[Prediction]
    steady: Prediction | None
    utc: datetime
    frame_age_ms: float
    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float


@dataclass(frozen=True)
class Snapshot:
    """All that can be said of a stream at one moment.

    Attributes:
        summary: since the start.
        minute: each of `STAGES` over the last minute. `minute_fps` is answered frames a
            second, from the first answer.
        latest: by source.
        labels: how often each answer was given, by source.
    """

    utc: datetime
    seconds: float
    summary: StreamSummary
    minute: dict[str, Percentiles]
    minute_fps: float
    latest: dict[str, Latest]
    labels: dict[str, dict[str, int]]
    events: list[Event]
    sinks: list[SinkSummary]


class Live:
    """Follows a stream. The loop records; any thread takes snapshots.

    Args:
        summary: gives the figures since the start, as `Stream.summary` does.
    """

    def __init__(self, summary: Callable[[], StreamSummary]) -> None:
        self.sinks: Callable[[], list[SinkSummary]] = list
        self._summary = summary
        self._recent = {stage: Recent() for stage in STAGES}
        self._results: dict[str, Result] = {}
        self._labels: dict[str, Counter[str]] = {}
        self._events: list[Event] = []
        self._began = perf_counter()
        self._first: float | None = None  # a camera may let itself be waited for
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._taken = 0.0

    def record(self, result: Result) -> None:
        """Count one result. Takes microseconds; the loop's thread calls it."""
        if self._first is None:
            self._first = perf_counter()
        recent = self._recent
        for stage in STAGES:
            recent[stage].record(round(getattr(result, f"{stage}_ms") * 1e6))
        self._results[result.source] = result
        if result.predictions:
            if result.source not in self._labels:
                self._labels[result.source] = Counter()
            self._labels[result.source][result.answer.label] += 1
        if result.events:
            self._events = [*self._events, *result.events][-EVENTS:]

    def snapshot(self) -> Snapshot:
        """The figures of now, or of less than `FRESH` seconds ago."""
        with self._lock:
            now = perf_counter()
            if self._snapshot is None or now - self._taken >= FRESH:
                since = now if self._first is None else self._first
                self._snapshot = self._take(now - self._began, now - since)
                self._taken = now
            return self._snapshot

    def _take(self, seconds: float, answering: float) -> Snapshot:
        minute: dict[str, Histogram] = {s: r.histogram() for s, r in self._recent.items()}
        covered = min(answering, covered_seconds())
        return Snapshot(
            utc=datetime.now(timezone.utc),
            seconds=round(seconds, 3),
            summary=self._summary(),
            minute={stage: Percentiles.of(histogram) for stage, histogram in minute.items()},
            minute_fps=round(minute["infer"].count / covered, 3) if covered else 0.0,
            latest={name: _latest(result) for name, result in list(self._results.items())},
            labels={name: dict(c) for name, c in list(self._labels.items())},
            events=self._events,
            sinks=self.sinks(),
        )


def _latest(result: Result) -> Latest:
    answer = result.answer if result.predictions else Prediction(-1, "", 0.0)
    return Latest(
        answer.label,
        answer.probability,
        result.predictions,
        result.steady,
        result.captured_at,
        round(result.frame_age_ms, 3),
        round(result.preprocess_ms, 4),
        round(result.infer_ms, 4),
        round(result.postprocess_ms, 4),
    )
