"""The stages of a frame, each with its percentiles."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn_runtime.latency.histogram import Histogram


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
        found = histogram.percentiles_ns(0.5, 0.9, 0.95, 0.99, 0.999)
        exact = (histogram.min_ns, histogram.max_ns)
        return cls(*(round(ns / 1e6, 4) for ns in (histogram.mean_ns, *found, *exact)))


@dataclass(frozen=True)
class Stages:
    """What is done to a frame after capture."""

    preprocess: Percentiles
    infer: Percentiles
    postprocess: Percentiles


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
