"""A stream's figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from edgecnn_runtime.latency.stages import Percentiles
from edgecnn_runtime.stream.live import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
QUANTILES = {"0.5": "p50", "0.9": "p90", "0.95": "p95", "0.99": "p99", "0.999": "p999"}

Sample = tuple[dict[str, str], float]


def exposition(snapshot: Snapshot) -> str:
    """Seconds, as Prometheus wants them; since the start, and gauges of the last minute."""
    return "\n".join(_lines(snapshot)) + "\n"


def _lines(snapshot: Snapshot) -> Iterator[str]:
    summary, sources, sinks = snapshot.summary, snapshot.summary.sources, snapshot.sinks
    info = {"model": summary.model, "backend": summary.backend, "weights": summary.weights}
    yield from _metric("info", "gauge", "What runs.", [(info, 1)])
    yield from _metric("up_seconds", "gauge", "Since the start.", [({}, snapshot.seconds)])
    for name, what in (
        ("frames", "Frames answered."),
        ("dropped", "Frames that a newer one replaced."),
        ("reconnects", "Times that the source came back."),
        ("errors", "Frames that could not be read."),
    ):
        values = [({"source": s.name}, float(getattr(s, name))) for s in sources]
        yield from _metric(f"{name}_total", "counter", what, values)
    yield from _metric(
        "labels_total",
        "counter",
        "Answers of each label.",
        [
            ({"source": source, "label": label}, count)
            for source, counts in snapshot.labels.items()
            for label, count in counts.items()
        ],
    )
    yield from _metric(
        "probability",
        "gauge",
        "Of the latest answer.",
        [
            ({"source": source, "label": latest.label}, latest.probability)
            for source, latest in snapshot.latest.items()
            if latest.predictions
        ],
    )
    yield from _metric("fps", "gauge", "Over the last minute.", [({}, snapshot.minute_fps)])
    stages = _since_start(snapshot)
    yield from _metric("stage_seconds", "summary", "Since the start.", _quantiles(stages))
    yield from (
        f'edgecnn_stage_seconds_count{{stage="{stage}"}} {summary.frames}' for stage in stages
    )
    yield from (
        f'edgecnn_stage_seconds_sum{{stage="{stage}"}} {p.mean * summary.frames / 1000:.9g}'
        for stage, p in stages.items()
    )
    minute = _quantiles(snapshot.minute)
    yield from _metric("stage_last_minute_seconds", "gauge", "Over the last minute.", minute)
    for name, of in (("sink_results_total", "frames"), ("sink_dropped_total", "dropped")):
        values = [({"sink": s.uri}, float(getattr(s, of))) for s in sinks]
        yield from _metric(name, "counter", f"Results {of} of a sink.", values)
    failed = [({"sink": s.uri}, float(s.error is not None)) for s in sinks]
    yield from _metric("sink_failed", "gauge", "1 where it does not deliver.", failed)


def _since_start(snapshot: Snapshot) -> dict[str, Percentiles]:
    stages = snapshot.summary.stages
    found = {field.name: getattr(stages, field.name) for field in fields(stages)}
    summary = snapshot.summary
    return {**found, "end_to_end": summary.end_to_end, "frame_age": summary.frame_age}


def _quantiles(stages: dict[str, Percentiles]) -> list[Sample]:
    return [
        ({"stage": stage, "quantile": quantile}, getattr(p, name) / 1000)
        for stage, p in stages.items()
        for quantile, name in QUANTILES.items()
    ]


def _metric(name: str, kind: str, what: str, samples: Iterable[Sample]) -> Iterator[str]:
    samples = list(samples)
    if not samples:
        return
    yield f"# HELP edgecnn_{name} {what}"
    yield f"# TYPE edgecnn_{name} {kind}"
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"edgecnn_{name}{{{inner}}} {value:.9g}" if inner else f"edgecnn_{name} {value:.9g}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
