"""Whether frames of several cameras are inferred together."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter_ns

import numpy as np

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.image_filter import ImageFilter

LARGEST = 8
ROUNDS = 5
WORTH = 0.9  # of the time one after the other: below it a batch is worth waiting for


def batch_for(
    model: Classifier | ImageFilter, cameras: int, clock: Callable[[], int] = perf_counter_ns
) -> int:
    """How many frames to infer at once, measured on empty ones: as many as cameras, or 1.

    A filter takes frames of any size, which do not fit into one batch.

    Args:
        clock: nanoseconds; tests inject their own.
    """
    count = min(cameras, LARGEST)
    if count < 2 or isinstance(model, ImageFilter):
        return 1
    frames = np.zeros((count, *model.manifest.input.takes), np.uint8)
    alone, together = [], []
    for _ in range(ROUNDS + 1):
        began = clock()
        model.infer(frames[:1])
        between = clock()
        model.infer(frames)
        alone.append(between - began)
        together.append(clock() - between)
    # The first of each size allocates.
    return count if median(together[1:]) < WORTH * count * median(alone[1:]) else 1
