"""A whole stream with its sinks: what `edgecnn stream` does, for any program to call."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from time import perf_counter
from types import FrameType

from edgecnn_runtime.machine.memory import give_back
from edgecnn_runtime.stream.live import Live
from edgecnn_runtime.stream.loop import Stream
from edgecnn_runtime.stream.preview import Window
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.sink import Sink, SinkSummary
from edgecnn_runtime.stream.steady import Steady
from edgecnn_runtime.stream.summary import StreamSummary

STATUS_EVERY = 0.25  # seconds
TIDY_EVERY = 60.0


@dataclass(frozen=True)
class StreamReport(StreamSummary):
    """The figures of a stream and what became of its sinks.

    Attributes:
        labels: how often each label was the answer, the most frequent first; none of a filter.
        backends: how many frames each backend answered, in the order in which they took over.
        sink_errors: how many sinks failed before the end.
    """

    labels: dict[str, int]
    backends: dict[str, int]
    sinks: list[SinkSummary]
    sink_errors: int


def run_stream(
    stream: Stream,
    sinks: Sequence[Sink] = (),
    *,
    window: Window | None = None,
    on_status: Callable[[Result, float], None] | None = None,
    steady: Steady | None = None,
    live: Live | None = None,
) -> StreamReport:
    """Run a stream to its end and close its sinks, whatever happens.

    Args:
        window: shows every result; closing it ends the stream. Only from the main thread.
        on_status: called a few times a second with the latest result and the frames a second.
        steady: smooths the answers and finds events before anything else sees them.
        live: follows the figures, for a page or a terminal.
    """
    labels: Counter[str] = Counter()
    backends: Counter[str] = Counter()
    written: list[SinkSummary] = []
    next_status, next_tidying = 0.0, perf_counter() + TIDY_EVERY
    if live is not None:
        live.sinks = lambda: [sink.summary() for sink in sinks]
    try:
        with stream:
            for result in steady(stream) if steady is not None else stream:
                if live is not None:
                    live.record(result)
                backends[result.backend] += 1
                if result.predictions:
                    labels[result.answer.label] += 1
                for sink in sinks:
                    sink.put(result)
                if window is not None and not window.show(result, stream.fps):
                    break
                now = perf_counter()
                if on_status is not None and now >= next_status:
                    next_status = now + STATUS_EVERY
                    on_status(result, stream.fps)
                if now >= next_tidying:
                    next_tidying = now + TIDY_EVERY
                    give_back()
    finally:
        written = [sink.close() for sink in sinks]
        if window is not None:
            window.close()
    summary = stream.summary()
    return StreamReport(
        **{field.name: getattr(summary, field.name) for field in fields(summary)},
        labels=dict(labels.most_common()),
        backends=dict(backends),
        sinks=written,
        sink_errors=sum(sink.error is not None for sink in written),
    )


@contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM, for a clean end; a second has its usual effect.

    Args:
        stop: as `Stream.stop` and `Source.stop`: waits for nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(number: int, frame: FrameType | None) -> None:
        restore()
        stop()

    for number in signals:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()
