"""The figures of a stream, as the verb `stream` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgecnn_runtime.latency.stages import Percentiles, Stages

if TYPE_CHECKING:
    from edgecnn_runtime.stream.loop import Stream


@dataclass(frozen=True)
class SourceSummary:
    """One source. `age_from` says what `frame_age` counts from."""

    name: str
    frames: int
    dropped: int
    fps: float
    reconnects: int
    errors: int
    frame_age: Percentiles
    age_from: Literal["capture", "arrival"]


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


def summarise(stream: Stream) -> StreamSummary:
    """Take the figures of a stream."""
    frames, fps = stream.times.infer.count, round(stream.fps, 3)
    source, manifest = stream.source, stream.classifier.manifest
    frame_age = Percentiles.of(stream.frame_age)
    one = SourceSummary(
        source.name,
        frames,
        stream.dropped,
        fps,
        source.reconnects,
        source.errors,
        frame_age,
        source.age_from,
    )
    return StreamSummary(
        frames=frames,
        dropped=stream.dropped,
        fps=fps,
        reconnects=source.reconnects,
        errors=source.errors,
        end_to_end=Percentiles.of(stream.times.end_to_end),
        frame_age=frame_age,
        stages=stream.times.stages(),
        sources=[one],
        backend=stream.classifier.backend.name,
        model=manifest.model.name,
        weights=manifest.weights,
    )
