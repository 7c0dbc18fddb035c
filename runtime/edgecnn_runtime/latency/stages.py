"""The stages of a frame, each with its percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from edgecnn_runtime.latency.histogram import Histogram

FRACTIONS = (0.5, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Percentiles:
    """A distribution of durations, in milliseconds."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    min: float
    max: float

    @classmethod
    def of(cls, histogram: Histogram) -> Percentiles:
        """The percentiles of what a histogram holds; zeros where it is empty."""
        found = histogram.percentiles_ns(*FRACTIONS)
        exact = (histogram.min_ns, histogram.max_ns)
        return cls(*(round(ns / 1e6, 4) for ns in (histogram.mean_ns, *found, *exact)))

    @classmethod
    def of_samples(cls, samples_ms: Sequence[float]) -> Percentiles:
        """The exact ones: each is the smallest sample that so large a share does not exceed."""
        rising = sorted(samples_ms)
        count = len(rising)
        found = [rising[max(1, math.ceil(round(part * count, 6))) - 1] for part in FRACTIONS]
        return cls(*(round(ms, 4) for ms in (fmean(rising), *found, rising[0], rising[-1])))


@dataclass(frozen=True)
class Stages:
    """What is done to a frame after capture."""

    preprocess: Percentiles
    infer: Percentiles
    postprocess: Percentiles

    @classmethod
    def of_samples(cls, samples: StageSamples) -> Stages:
        """The exact percentiles of each."""
        return cls(
            Percentiles.of_samples(samples.preprocess),
            Percentiles.of_samples(samples.infer),
            Percentiles.of_samples(samples.postprocess),
        )


@dataclass(frozen=True)
class StageSamples:
    """Milliseconds of each measured frame, in order."""

    preprocess: list[float]
    infer: list[float]
    postprocess: list[float]


class StageTimes:
    """Histograms of the stages and of their sum."""

    __slots__ = ("end_to_end", "infer", "postprocess", "preprocess")

    def __init__(self) -> None:
        self.preprocess = Histogram()
        self.infer = Histogram()
        self.postprocess = Histogram()
        self.end_to_end = Histogram()

    def stages(self) -> Stages:
        return Stages(
            Percentiles.of(self.preprocess),
            Percentiles.of(self.infer),
            Percentiles.of(self.postprocess),
        )
