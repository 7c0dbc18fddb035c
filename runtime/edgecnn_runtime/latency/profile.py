"""Measure a bundle stage by stage: in a tight loop, or paced as a camera would pace it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from time import perf_counter_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.latency.stages import Percentiles, Stages, StageTimes

WARMUP_LEAST, WARMUP_MOST = 20, 200
STEADY = 0.05  # two halves of the last warm-up frames whose medians differ by less
Model = Classifier | ImageFilter
_SPIN_NS = 500_000  # a sleep ends late by this much at most; the rest is waited awake


@dataclass(frozen=True)
class Profile:
    """Latency of one classifier on one machine.

    Attributes:
        backend: what answered the last frame.
        backends: how many frames each answered, in the order in which they took over.
        frames: measured ones, without the warm-up.
        throughput_fps: frames a second while measuring; at a rate, at most the rate.
        first_ms: the first inference of the session, which allocates.
        warmup_frames: frames until the times were steady; not among the measured.
        load_ms: opening the bundle and the engine; None where the caller did not measure it.
        rate: frames a second that were scheduled; None for a tight loop.
        idle_s: pause before each frame.
        late_starts: frames that were due before the one before them was done.
        end_to_end: from the moment a frame was due, so that a stall also counts for the frames
            that had to wait behind it.
        samples_ms: end to end of each measured frame, in order.
    """

    backend: str
    device: str
    frames: int
    throughput_fps: float
    first_ms: float
    warmup_frames: int
    load_ms: float | None
    rate: float | None
    idle_s: float
    late_starts: int
    stages: Stages
    end_to_end: Percentiles
    samples_ms: list[float]
    backends: dict[str, int]


class Clock(Protocol):
    """Time as the profile sees it; tests inject their own."""

    def now_ns(self) -> int: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own."""

    def now_ns(self) -> int:
        return perf_counter_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def profile(
    classifier: Model,
    frames: Sequence[NDArray[np.uint8]],
    *,
    count: int = 300,
    rate: float | None = None,
    idle_s: float = 0.0,
    device: str = "",
    load_ms: float | None = None,
    on_frame: Callable[[], object] = lambda: None,
    clock: Clock | None = None,
) -> Profile:
    """Measure preprocessing, inference and postprocessing of single frames.

    Args:
        frames: uint8 (H, W, 3) BGR of the camera's size, taken in turn.
        count: frames to measure after the warm-up.
        rate: frames a second to schedule, whether or not the one before is done (an open loop);
            None for as fast as possible.
        idle_s: pause before each frame of a tight loop: what a call costs after an idle time.
        on_frame: called after each measured frame, outside of what is measured.
    """
    clock = clock or SystemClock()
    endless = cycle(frames)
    first = classifier.preprocess(next(endless))[None]
    began = clock.now_ns()
    classifier.infer(first)
    first_ms = (clock.now_ns() - began) / 1e6
    warmup = _warm_up(classifier, endless, clock)

    times, samples, late = StageTimes(), [], 0
    backends: Counter[str] = Counter()
    begin = due = clock.now_ns()
    for number in range(count):
        if idle_s:
            clock.sleep(idle_s)
        if rate:
            due = begin + round((number + 1) * 1e9 / rate)
            late += not _wait_until(due, clock)
        else:
            due = clock.now_ns()
        samples.append(_measure(classifier, next(endless), due, times, clock))
        backends[classifier.backend.name] += 1
        on_frame()
    seconds = (clock.now_ns() - begin) / 1e9 - idle_s * count
    return Profile(
        backend=classifier.backend.name,
        device=device,
        frames=count,
        throughput_fps=round(count / seconds, 3) if seconds > 0 else 0.0,
        first_ms=round(first_ms, 4),
        warmup_frames=warmup,
        load_ms=None if load_ms is None else round(load_ms, 3),
        rate=rate,
        idle_s=idle_s,
        late_starts=late,
        stages=times.stages(),
        end_to_end=Percentiles.of(times.end_to_end),
        samples_ms=[round(sample / 1e6, 4) for sample in samples],
        backends=dict(backends),
    )


def _measure(
    classifier: Model, frame: NDArray[np.uint8], due: int, times: StageTimes, clock: Clock
) -> int:
    """Classify one frame and record its stages; returns the end-to-end time in ns."""
    began = clock.now_ns()
    inputs = classifier.preprocess(frame)[None]
    prepared = clock.now_ns()
    answers = classifier.infer(inputs)
    inferred = clock.now_ns()
    classifier.decide(answers[0])
    done = clock.now_ns()
    times.preprocess.record(prepared - began)
    times.infer.record(inferred - prepared)
    times.postprocess.record(done - inferred)
    times.end_to_end.record(done - due)
    return done - due


def _wait_until(due: int, clock: Clock) -> bool:
    """Wait for a moment; False where it had already passed."""
    left = due - clock.now_ns()
    if left < 0:
        return False
    if left > _SPIN_NS:
        clock.sleep((left - _SPIN_NS) / 1e9)
    while clock.now_ns() < due:
        pass
    return True


def _warm_up(classifier: Model, frames: cycle[NDArray[np.uint8]], clock: Clock) -> int:
    """Run until the times are steady; returns how many frames that took."""
    spent: list[int] = []
    discarded = StageTimes()
    half = WARMUP_LEAST // 2
    while len(spent) < WARMUP_MOST:
        spent.append(_measure(classifier, next(frames), clock.now_ns(), discarded, clock))
        if len(spent) >= WARMUP_LEAST:
            before, after = median(spent[-2 * half : -half]), median(spent[-half:])
            if abs(before - after) <= STEADY * before:
                break
    return len(spent)
