"""The figures of a stream, as the verb `stream` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgecnn_runtime.backends import power_of
from edgecnn_runtime.latency.stages import Percentiles, Stages

if TYPE_CHECKING:
    from edgecnn_runtime.stream.loop import Stream


@dataclass(frozen=True)
class SourceSummary:
    """One source.

    Attributes:
        age_from: what `frame_age` counts from.
        error: what ended it before its time, None where nothing did.
    """

    name: str
    frames: int
    dropped: int
    fps: float
    reconnects: int
    errors: int
    frame_age: Percentiles
    age_from: Literal["capture", "arrival"]
    error: str | None = None


@dataclass(frozen=True)
class StreamSummary:
    """A whole stream.

    Attributes:
        frames: answered. `dropped` are those of live sources that a newer frame replaced.
        fps: answered frames a second.
        errors: frames that could not be read.
        end_to_end: the three stages of a frame together, without waiting.
        frame_age: from capture or arrival until the result, waiting included.
        weights: as in the manifest; `random` means that the answers mean nothing.
        power: one of `backends.POWERS`; None of a GPU.
    """

    frames: int
    dropped: int
    fps: float
    reconnects: int
    errors: int
    end_to_end: Percentiles
    frame_age: Percentiles
    stages: Stages
    sources: list[SourceSummary]
    backend: str
    model: str
    weights: str
    power: str | None


def summarise(stream: Stream) -> StreamSummary:
    """Take the figures of a stream."""
    manifest = stream.classifier.manifest
    sources = [
        SourceSummary(
            name=feed.source.name,
            frames=feed.frames,
            dropped=feed.dropped,
            fps=round(feed.fps, 3),
            reconnects=feed.source.reconnects,
            errors=feed.source.errors,
            frame_age=Percentiles.of(feed.frame_age),
            age_from=feed.source.age_from,
            error=feed.error,
        )
        for feed in stream.feeds
    ]
    return StreamSummary(
        frames=stream.times.infer.count,
        dropped=stream.dropped,
        fps=round(stream.fps, 3),
        reconnects=sum(one.reconnects for one in sources),
        errors=sum(one.errors for one in sources),
        end_to_end=Percentiles.of(stream.times.end_to_end),
        frame_age=Percentiles.of(stream.frame_age),
        stages=stream.times.stages(),
        sources=sources,
        backend=stream.classifier.backend.name,
        model=manifest.model.name,
        weights=manifest.weights,
        power=power_of(stream.classifier.backend),
    )
