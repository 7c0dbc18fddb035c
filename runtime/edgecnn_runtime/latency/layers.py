"""What each layer of a network takes, told against the whole: nothing hides between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.latency.peaks import Peaks

Bound = Literal["compute", "memory"]


@dataclass(frozen=True)
class Layer:
    """A layer as the engine runs it: after fusion, so that it may be several of the network's.

    Attributes:
        kind: the engine's word for it, as `Conv`.
        provider: what runs it, as `CPUExecutionProvider`.
        macs: multiply-accumulates of one frame, those of padded channels included; None for what
            has none, or where it is not known.
        bytes: read and written, weights included, were nothing kept in a cache; None if not known.
        precision: of its weights, or of its tensors where it has none and they are all alike, as
            `fp16`; empty where the engine does not tell.
    """

    name: str
    kind: str
    provider: str = ""
    macs: int | None = None
    bytes: int | None = None
    precision: str = ""


@dataclass(frozen=True)
class LayerRuns:
    """Times of every layer in every run.

    Attributes:
        times_ms: a list a run, a number a layer.
        runs_ms: what each of these runs took as a whole, while it was profiled.
        precision: that the graph or the engine was asked to have, as the manifest has it.
    """

    layers: tuple[Layer, ...]
    times_ms: list[list[float]]
    runs_ms: list[float]
    precision: str = ""


@runtime_checkable
class LayerTimes(Protocol):
    """A backend that can time its layers. An engine of TensorRT does it with an IProfiler."""

    def time_layers(self, frames: Sequence[NDArray[np.uint8]], runs: int) -> LayerRuns:
        """Run frames of the graph's (H, W, C), one at a time and in turn, after a warm-up."""
        ...


@dataclass(frozen=True)
class LayerTime:
    """A layer, what it took, and what it would take at the least.

    Attributes:
        share: of the sum of all layers' medians, 0 to 1: one preempted run makes no layer dear.
        bound: what the hardware would be busy with at the least time; None if that is not known.
        least_ms: by the roofline: all of the peak, or all of the memory's rate, whichever takes
            longer (Williams et al., 2009).
    """

    name: str
    kind: str
    provider: str
    mean_ms: float
    p50_ms: float
    share: float
    macs: int | None
    bytes: int | None
    precision: str
    bound: Bound | None
    least_ms: float | None


@dataclass(frozen=True)
class LayerProfile:
    """Where the time of a frame goes. All are medians of single frames, in milliseconds.

    Attributes:
        layers_ms: all layers of a run together.
        run_ms: such a run as a whole; what it has more than `layers_ms` passes between layers.
        infer_ms: a run that is not profiled; what `run_ms` has more is the price of profiling.
        end_to_end_ms: a frame with preprocessing and postprocessing, not profiled.
        precision: that was asked for; each layer has its own.
        peaks: the hardware's, None where they are not known.
        least_ms: what all layers take at the least; None where that of one is not known.
    """

    backend: str
    device: str
    precision: str
    runs: int
    layers: list[LayerTime]
    layers_ms: float
    run_ms: float
    infer_ms: float
    end_to_end_ms: float
    peaks: Peaks | None
    least_ms: float | None = None


def layer_profile(
    measured: LayerRuns,
    *,
    backend: str,
    device: str,
    infer_ms: float,
    end_to_end_ms: float,
    peaks: Peaks | None = None,
    computed_in: str | None = None,
) -> LayerProfile:
    """Sum up what a `LayerTimes` measured.

    Args:
        computed_in: the precision of the sums, where the graph's is another: ONNX Runtime computes
            an INT8 graph for TensorRT in FP32.
        infer_ms, end_to_end_ms: medians of the same frames without profiling.
    """
    columns = list(zip(*measured.times_ms, strict=True))
    medians = [median(column) for column in columns]
    total = sum(medians) or 1.0
    rows = [
        _row(layer, fmean(column), p50, p50 / total, computed_in or measured.precision, peaks)
        for layer, p50, column in zip(measured.layers, medians, columns, strict=True)
    ]
    least = [row.least_ms for row in rows if row.least_ms is not None]
    return LayerProfile(
        least_ms=round(sum(least), 5) if len(least) == len(rows) else None,
        backend=backend,
        device=device,
        precision=measured.precision,
        runs=len(measured.times_ms),
        layers=rows,
        layers_ms=round(median(sum(times) for times in measured.times_ms), 4),
        run_ms=round(median(measured.runs_ms), 4),
        infer_ms=infer_ms,
        end_to_end_ms=end_to_end_ms,
        peaks=peaks,
    )


def _row(
    layer: Layer, mean: float, p50: float, share: float, asked: str, peaks: Peaks | None
) -> LayerTime:
    precision = layer.precision or asked
    bound, least = roofline(layer, precision, peaks) if peaks else (None, None)
    return LayerTime(
        name=layer.name,
        kind=layer.kind,
        provider=layer.provider,
        mean_ms=round(mean, 5),
        p50_ms=round(p50, 5),
        share=round(share, 5),
        macs=layer.macs,
        bytes=layer.bytes,
        precision=layer.precision,
        bound=bound,
        least_ms=None if least is None else round(least, 6),
    )


def roofline(layer: Layer, precision: str, peaks: Peaks) -> tuple[Bound | None, float | None]:
    """(what bounds a layer, the least time in ms); (None, None) where its bytes are not known."""
    if layer.bytes is None or not (gb_per_s := peaks.rate(layer.bytes)):
        return None, None
    memory = layer.bytes / (gb_per_s * 1e6)
    rate = peaks.tera(precision)
    if not layer.macs or rate is None:
        return "memory", memory
    compute = 2 * layer.macs / (rate * 1e9)
    return ("compute", compute) if compute > memory else ("memory", memory)


def in_another_precision(profile: LayerProfile) -> list[LayerTime]:
    """Layers with MACs whose engine tells of another precision than was asked for."""
    return [
        layer
        for layer in profile.layers
        if layer.macs and layer.precision and layer.precision != profile.precision
    ]


def by_kind(layers: Sequence[LayerTime]) -> dict[str, tuple[int, float]]:
    """(how many, share) of each kind of layer, the dearest first."""
    kinds: dict[str, tuple[int, float]] = {}
    for layer in layers:
        count, share = kinds.get(layer.kind, (0, 0.0))
        kinds[layer.kind] = (count + 1, share + layer.share)
    return dict(sorted(kinds.items(), key=lambda item: -item[1][1]))
