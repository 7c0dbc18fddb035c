"""From the answers to single frames to what is there: smoothing, an unknown class, events."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter
from typing import Protocol

from edgecnn_runtime.classifier import Prediction
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.stream.result import Event, Result

UNKNOWN = "unknown"
MARGIN = 0.1  # by which another class must lead before the label changes
LEAVE_UNKNOWN = 0.05  # above the threshold, before a smoothed answer is known again


class Smoother(Protocol):
    """Turns predictions, one frame after another, into a steady one."""

    def add(self, predictions: Sequence[Prediction], now: float) -> Prediction: ...


class Exponential:
    """Probabilities that follow the frames with a time constant, whatever the frame rate.

    The label changes when another class leads by `MARGIN`. Classes that a frame's answer does not
    list (`top_k`) count as 0 in it.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        self._seconds = seconds
        self._values: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._last: float | None = None
        self._current: int | None = None

    def add(self, predictions: Sequence[Prediction], now: float) -> Prediction:
        share = 1.0
        if self._last is not None:
            share = 1 - math.exp(-max(0.0, now - self._last) / self._seconds)
        self._last = now
        for index in self._values:
            self._values[index] *= 1 - share
        for p in predictions:
            self._names[p.index] = p.label
            self._values[p.index] = self._values.get(p.index, 0.0) + share * p.probability
        self._values = {i: v for i, v in self._values.items() if v > 1e-6 or i == self._current}
        leader = max(self._values, key=self._values.__getitem__)
        if self._current is None or self._leads(leader):
            self._current = leader
        return Prediction(
            self._current, self._names[self._current], min(1.0, self._values[self._current])
        )

    def _leads(self, index: int) -> bool:
        assert self._current is not None
        return self._values[index] > self._values[self._current] + MARGIN


class Majority:
    """The label that most frames of the last seconds have; its probability is their mean.

    It changes when another label has the more frames by `MARGIN` of all.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self._seconds = seconds
        self._frames: deque[tuple[float, Prediction]] = deque()
        self._current: int | None = None

    def add(self, predictions: Sequence[Prediction], now: float) -> Prediction:
        self._frames.append((now, predictions[0]))
        while not now - self._seconds <= self._frames[0][0] <= now:  # another film begins at 0
            self._frames.popleft()
        votes = Counter(p.index for _, p in self._frames)
        leader, most = votes.most_common(1)[0]
        held = votes[self._current] if self._current is not None else 0
        if not held or most > held + MARGIN * len(self._frames):
            self._current = leader
        of_it = [p for _, p in self._frames if p.index == self._current]
        mean = sum(p.probability for p in of_it) / len(of_it)
        return Prediction(of_it[0].index, of_it[0].label, mean)


SMOOTHERS: dict[str, Callable[[float], Smoother]] = {
    "exponential": Exponential,
    "majority": Majority,
}
SECONDS = {"exponential": 0.5, "majority": 1.0}


@dataclass(frozen=True)
class Wanted:
    """An event to be told of: a label that has been the answer for so many seconds."""

    label: str
    seconds: float


@dataclass
class _Source:
    """What is remembered of one source."""

    smoother: Smoother | None
    is_known: bool = True
    label: str | None = None
    since: float = 0.0
    told: set[Wanted] = field(default_factory=set)


class Steady:
    """Adds to results what a single frame cannot tell. The raw answer stays in `predictions`.

    Seconds are those of the camera, or of the film, however fast that is read.

    >>> from edgecnn_runtime import Classifier, Steady, Stream
    >>> steady = Steady(smooth="exponential", unknown=0.5, events=["gravel:2"], on_event=[print])
    >>> for result in steady(Stream(classify, source=0)):
    ...     print(result.answer.label, result.events)

    Args:
        smooth: `exponential` or `majority`, and `:SECONDS`; None for none.
        unknown: below this probability the answer's label is `unknown`.
        events: `LABEL:SECONDS`: told once when the answer has had the label for so long, and again
            after it has been another.
        on_event: called with the event and its result, in the loop's thread: to be quick.
        labels: what events may name; anything where None.

    Raises:
        InputError: one of these is not understood.
    """

    def __init__(
        self,
        *,
        smooth: str | None = None,
        unknown: float | None = None,
        events: Sequence[str] = (),
        on_event: Sequence[Callable[[Event, Result], None]] = (),
        labels: Sequence[str] | None = None,
    ) -> None:
        self._make = _smoother(smooth)
        self._unknown = unknown
        self._wanted = [_wanted(text, labels) for text in events]
        self._on_event = tuple(on_event)
        self._sources: dict[str, _Source] = {}

    def __call__(self, results: Iterable[Result]) -> Iterator[Result]:
        """The results, each with its steady answer and events."""
        return map(self.judge, results)

    def judge(self, result: Result, now: float | None = None) -> Result:
        """One result. `now` is when its frame was captured, in seconds of any steady clock."""
        if not result.predictions:
            return result
        if now is None:
            now = result.film_s
        if now is None:
            now = perf_counter() - result.frame_age_ms / 1000
        source = self._sources.get(result.source)
        if source is None:
            source = self._sources[result.source] = _Source(self._make and self._make())
        steady = result.best
        if source.smoother is not None:
            steady = source.smoother.add(result.predictions, now)
        steady = self._or_unknown(steady, source)
        events = self._events(steady, source, result.captured_at, now)
        changed = replace(result, steady=steady, events=events)
        for event in events:
            for hook in self._on_event:
                hook(event, changed)
        return changed

    def _or_unknown(self, steady: Prediction, source: _Source) -> Prediction:
        if self._unknown is None:
            return steady
        needed = self._unknown
        if source.smoother is not None and not source.is_known:
            needed = min(1.0, needed + LEAVE_UNKNOWN)
        source.is_known = steady.probability >= needed
        return steady if source.is_known else Prediction(-1, UNKNOWN, steady.probability)

    def _events(
        self, steady: Prediction, source: _Source, utc: datetime, now: float
    ) -> tuple[Event, ...]:
        if steady.label != source.label:
            source.label, source.since = steady.label, now
            source.told.clear()
        source.since = min(source.since, now)  # another film begins at 0
        held = now - source.since
        found = [
            w
            for w in self._wanted
            if w.label == steady.label and held >= w.seconds and w not in source.told
        ]
        source.told.update(found)
        return tuple(Event(w.label, w.seconds, utc) for w in found)


def steady_of(
    smooth: str | None,
    unknown: float | None,
    events: Sequence[str],
    labels: Sequence[str] | None,
) -> Steady | None:
    """What the command line asks for; None where that is nothing.

    Raises:
        InputError: it is not understood, or the model answers with pictures.
    """
    if smooth is None and unknown is None and not events:
        return None
    if labels is None:
        raise InputError("a filter has no labels to smooth or wait for; leave these options out")
    return Steady(smooth=smooth, unknown=unknown, events=events, labels=labels)


def _smoother(text: str | None) -> Callable[[], Smoother] | None:
    if text is None:
        return None
    name, _, number = text.partition(":")
    if name not in SMOOTHERS:
        raise unknown_name("smoothing", name, SMOOTHERS)
    seconds = _seconds(number, text) if number else SECONDS[name]
    if not seconds:
        raise InputError(f"smoothing {text!r} is over 0 seconds; expected more, as {name}:0.5")
    make = SMOOTHERS[name]
    return lambda: make(seconds)


def _wanted(text: str, labels: Sequence[str] | None) -> Wanted:
    label, colon, number = text.rpartition(":")
    if not colon or not label:
        raise InputError(f"event {text!r} is not understood; expected LABEL:SECONDS, as gravel:2")
    if labels is not None and label not in (*labels, UNKNOWN):
        raise unknown_name("label", label, (*labels, UNKNOWN))
    return Wanted(label, _seconds(number, text))


def _seconds(number: str, text: str) -> float:
    try:
        seconds = float(number)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(f"{text!r}: {number!r} is not a number of seconds; expected one, as 2")
    return seconds
