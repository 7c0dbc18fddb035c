"""Measure a bundle stage by stage: in a tight loop, or paced as a camera would pace it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from statistics import fmean, median, pstdev

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.image_filter import ImageFilter
from edgecnn_runtime.latency.batches import BatchRate
from edgecnn_runtime.latency.conditions import Conditions
from edgecnn_runtime.latency.pacing import Clock, Gap, SystemClock
from edgecnn_runtime.latency.ratios import Against
from edgecnn_runtime.latency.stages import Percentiles, Stages, StageSamples
from edgecnn_runtime.latency.warm_up import warm_up
from edgecnn_runtime.latency.watch import Energy, Memory

Model = Classifier | ImageFilter
PARTS = 10  # of a measurement, whose medians tell how much they vary


@dataclass(frozen=True)
class Network:
    """What was measured.

    Attributes:
        bundle: the name of its folder.
        takes: (H, W, C) of the graph; None for any size.
        sha256: of the graph or the engine; "" where a backend does not tell which it runs.
    """

    bundle: str
    name: str
    precision: str
    takes: tuple[int | None, int | None, int]
    parameters: int | None = None
    macs: int | None = None
    sha256: str = ""


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
        is_steady: False where the warm-up was given up before they were.
        load_ms: opening the bundle and the engine; None where the caller did not measure it.
        rate: frames a second that were scheduled; None for a tight loop.
        idle_s: pause before each frame.
        keep_warm: what the pauses are filled with, see `KEEP_WARM`.
        late_starts: frames that were due before the one before them was done.
        end_to_end: from the moment a frame was due, so that a stall also counts for the frames
            that had to wait behind it.
        cv: coefficient of variation of `end_to_end`: standard deviation by mean.
        samples_ms: end to end of each measured frame, in order.
        blocks_ms: medians of `end_to_end` of ten consecutive parts, or of each turn.
        turns: processes, or blocks in turn with others, that the samples come from.
        threads: of the CPU that were asked for; None for all cores.
        frame_size: (H, W) of the camera's frames.
        warnings: why the figures may not be those of a quiet machine.
        notes: what could not be read here, and why.
        against: what the comparison with an older profile gave.
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
    cv: float
    is_steady: bool
    keep_warm: str
    blocks_ms: list[float]
    stage_samples_ms: StageSamples
    turns: int = 1
    network: Network | None = None
    threads: int | None = None
    frame_size: tuple[int, int] | None = None
    conditions: Conditions | None = None
    energy: list[Energy] = field(default_factory=list)
    memory: Memory | None = None
    batches: list[BatchRate] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    against: Against | None = None

    @property
    def blocks(self) -> list[Sequence[float]]:
        """`samples_ms` by turn, or in ten parts."""
        return blocks_of(self.samples_ms, self.turns)


def profile(
    classifier: Model,
    frames: Sequence[NDArray[np.uint8]],
    *,
    count: int = 300,
    rate: float | None = None,
    idle_s: float = 0.0,
    keep_warm: str = "no",
    device: str = "",
    load_ms: float | None = None,
    on_frame: Callable[[], object] = lambda: None,
    clock: Clock | None = None,
    around: AbstractContextManager[object] | None = None,
) -> Profile:
    """Measure preprocessing, inference and postprocessing of single frames.

    Args:
        frames: uint8 (H, W, 3) BGR of the camera's size, taken in turn.
        count: frames to measure after the warm-up.
        rate: frames a second to schedule, whether or not the one before is done (an open loop);
            None for as fast as possible.
        idle_s: pause before each frame of a tight loop: what a call costs after an idle time.
        keep_warm: what is done between frames, see `KEEP_WARM`.
        on_frame: called after each measured frame, outside of what is measured.
        around: entered after the warm-up and left after the last frame.
    """
    clock = clock or SystemClock()
    endless = cycle(frames)
    first = classifier.preprocess(next(endless))[None]
    began = clock.now_ns()
    classifier.infer(first)
    first_ms = (clock.now_ns() - began) / 1e6

    timed = _Timed(classifier, clock)
    warm = warm_up(lambda: timed.run(next(endless), None), clock)
    gap = Gap(clock, keep_warm, lambda: classifier.infer(first), warm.median_ns)
    timed = _Timed(classifier, clock)
    late = 0
    backends: Counter[str] = Counter()
    with around or nullcontext():
        begin = clock.now_ns()
        for number in range(count):
            due = None
            if idle_s:
                gap.wait(clock.now_ns() + round(idle_s * 1e9))
            if rate:
                due = begin + round((number + 1) * 1e9 / rate)
                late += not gap.wait(due)
            timed.run(next(endless), due)
            backends[classifier.backend.name] += 1
            on_frame()
        seconds = (clock.now_ns() - begin) / 1e9 - idle_s * count
    return summarise(
        StageSamples(*(_ms(times) for times in timed.stages)),
        _ms(timed.end_to_end),
        backend=classifier.backend.name,
        device=device,
        throughput_fps=count / seconds if seconds > 0 else 0.0,
        first_ms=first_ms,
        warmup_frames=warm.frames,
        load_ms=load_ms,
        rate=rate,
        idle_s=idle_s,
        late_starts=late,
        backends=dict(backends),
        is_steady=warm.is_steady,
        keep_warm=keep_warm,
    )


def summarise(
    stages: StageSamples,
    samples_ms: list[float],
    *,
    turns: int = 1,
    throughput_fps: float,
    first_ms: float,
    load_ms: float | None,
    **known: object,
) -> Profile:
    """A profile from its samples: every percentile is one of them."""
    mean = fmean(samples_ms)
    return Profile(
        frames=len(samples_ms),
        throughput_fps=round(throughput_fps, 3),
        first_ms=round(first_ms, 4),
        load_ms=None if load_ms is None else round(load_ms, 3),
        stages=Stages.of_samples(stages),
        end_to_end=Percentiles.of_samples(samples_ms),
        samples_ms=samples_ms,
        cv=round(pstdev(samples_ms) / mean, 4) if mean else 0.0,
        blocks_ms=[median(block) for block in blocks_of(samples_ms, turns)],
        turns=turns,
        stage_samples_ms=stages,
        **known,  # type: ignore[arg-type]  # the fields that a caller takes over as they are
    )


def blocks_of(samples_ms: Sequence[float], turns: int = 1) -> list[Sequence[float]]:
    """The samples of each turn; of one turn, ten consecutive parts, or fewer of fewer samples."""
    count = min(turns if turns > 1 else PARTS, len(samples_ms))
    edges = [len(samples_ms) * i // count for i in range(count + 1)]
    return [samples_ms[a:b] for a, b in pairwise(edges)]


def _ms(times_ns: Sequence[int]) -> list[float]:
    return [round(ns / 1e6, 4) for ns in times_ns]


class _Timed:
    """Runs frames and keeps what each stage took."""

    def __init__(self, classifier: Model, clock: Clock) -> None:
        self._classifier = classifier
        self._clock = clock
        self.stages: tuple[list[int], list[int], list[int]] = ([], [], [])
        self.end_to_end: list[int] = []

    def run(self, frame: NDArray[np.uint8], due: int | None) -> int:
        """Classify a frame; returns what it took since it was due, or since now, in ns."""
        classifier, now = self._classifier, self._clock.now_ns
        began = now()
        inputs = classifier.preprocess(frame)[None]
        prepared = now()
        answers = classifier.infer(inputs)
        inferred = now()
        classifier.decide(answers[0])
        done = now()
        for times, spent in zip(
            self.stages, (prepared - began, inferred - prepared, done - inferred), strict=True
        ):
            times.append(spent)
        self.end_to_end.append(done - (began if due is None else due))
        return self.end_to_end[-1]
