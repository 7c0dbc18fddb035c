"""Calibration: over which range of values eight bits are spread, found on real images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from edgecnn_export.sessions import inner_values
from edgecnn_runtime.errors import CheckFailedError

Floats = NDArray[np.floating]
Range = tuple[float, float]  # lowest and highest value
Ranges = Mapping[str, Range]  # by the name of the tensor

BINS = 4096
PERCENTILE = 99.99
CANDIDATES = 256  # thresholds that the entropy method tries


@dataclass
class Values:
    """What a tensor holds over all images: its ends, and a histogram of |x|.

    Exact zeros, which are most of what a ReLU leaves, are counted apart: any range keeps them.
    """

    lowest: float = 0.0
    highest: float = 0.0
    zeros: int = 0
    top: float = 0.0  # where the histogram ends
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, x: Floats) -> None:
        """Take in more values, of any shape.

        Where they reach beyond the histogram, it is made twice as wide as often as is needed.
        """
        size = np.abs(x[x != 0])
        self.zeros += x.size - size.size
        if not size.size:
            return
        self.lowest = min(self.lowest, float(x.min()))
        self.highest = max(self.highest, float(x.max()))
        largest = float(size.max())
        self.top = self.top or largest
        while self.top < largest:
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(1), (0, BINS // 2))
            self.top *= 2
        bins = (size * (BINS / self.top)).astype(np.int32)
        self.counts += np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)


def collect(
    graph: onnx.ModelProto,
    names: Iterable[str],
    inputs: NDArray[np.uint8],
    step: Callable[[], None] = lambda: None,
) -> dict[str, Values]:
    """Run images through an FP32 graph and look at tensors between its nodes.

    ONNX Runtime's own calibrators look at the images once for each method, and at all values at
    once. Of its entropy search at 128 bins, the default, there is one threshold to choose from; at
    thousands of bins it takes seconds for each tensor.

    Args:
        names: of the tensors.
        inputs: images as the graph takes them, uint8 (N, H, W, C).
        step: called after each image.

    Raises:
        CheckFailedError: a value is not a number.
    """
    found = {name: Values() for name in names}
    for arrays in inner_values(graph, list(found), inputs):
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise CheckFailedError(
                    f"{name} is not a number on one of the calibration images: no range can be"
                    " found; does the model answer in FP32?"
                )
            found[name].add(array)
        step()
    return found


def by_minmax(values: Values, levels: int) -> float:
    """The largest |x|: nothing is cut."""
    return max(-values.lowest, values.highest)


def by_percentile(values: Values, levels: int) -> float:
    """The |x| that all but a ten-thousandth of the values lie under."""
    total = values.zeros + int(values.counts.sum())
    under = values.zeros + np.cumsum(values.counts)
    edge = int(np.searchsorted(under, total * PERCENTILE / 100)) + 1
    return min(by_minmax(values, levels), edge * values.top / BINS)


def by_entropy(values: Values, levels: int) -> float:
    """The threshold whose rounded histogram is nearest to the histogram, by KL divergence.

    Migacz, 8-bit inference with TensorRT, GTC 2017. What lies beyond a threshold is counted in its
    last bin, so cutting costs as much as it moves.
    """
    used = int(np.flatnonzero(values.counts).max(initial=0)) + 1
    if used <= levels:
        return by_minmax(values, levels)
    ends = np.unique(np.linspace(levels, used, CANDIDATES, dtype=int))
    best: int = min(ends.tolist(), key=lambda end: _divergence(values.counts, end, levels))
    return min(by_minmax(values, levels), best * values.top / BINS)


def _divergence(counts: NDArray[np.int64], end: int, levels: int) -> float:
    inside = counts[:end].astype(np.float64)
    starts = np.arange(levels) * end // levels
    present = inside > 0
    sums, bins = (np.add.reduceat(a, starts) for a in (inside, present.astype(np.float64)))
    rounded = np.repeat(sums / np.maximum(bins, 1), np.diff(starts, append=end)) * present
    inside[-1] += counts[end:].sum()
    if (rounded[inside > 0] == 0).any():
        return np.inf
    p, q = inside[inside > 0] / inside.sum(), rounded[inside > 0] / rounded.sum()
    return float((p * np.log(p / q)).sum())


METHODS: dict[str, Callable[[Values, int], float]] = {
    "minmax": by_minmax,
    "entropy": by_entropy,
    "percentile": by_percentile,
}
AUTO = "auto"


def ranges(found: Mapping[str, Values], method: str, levels: int) -> dict[str, Range]:
    """The range of each tensor.

    Args:
        method: one of `METHODS`.
        levels: steps that a positive range is divided into: 127 with a sign, 255 without.
    """
    choose = METHODS[method]
    thresholds = {name: choose(values, levels) for name, values in found.items()}
    return {
        name: (max(values.lowest, -thresholds[name]), min(values.highest, thresholds[name]))
        for name, values in found.items()
    }
