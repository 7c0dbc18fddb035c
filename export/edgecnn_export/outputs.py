"""What an engine answers to frames, some at a time: probabilities, and logits where it has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgecnn_export.agreement import Agreement, Answers, Frame, compare
from edgecnn_runtime.backends import Backend, GraphBackend
from edgecnn_runtime.errors import CheckFailedError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import preprocess

BATCH = 16
LOGITS = "logits"


class Outputs(NamedTuple):
    """What an artifact answers, (N, classes) each."""

    probabilities: Answers
    logits: Answers | None = None


def inputs_of(frames: Sequence[Frame], spec: Input) -> Frame:
    """Raw frames through the device's preprocessing: (N, H, W, C)."""
    return np.stack([preprocess(frame, spec) for frame in frames])


def outputs_of(backend: Backend, inputs: Frame, least: int = 1, most: int = BATCH) -> Outputs:
    """Run preprocessed frames, some at a time.

    Args:
        least, most: how many frames may be run at once.

    Raises:
        CheckFailedError: the engine fails.
    """
    parts = []
    for start in range(0, len(inputs), most):
        part = inputs[start : start + most]
        missing = max(0, least - len(part))
        full = np.concatenate([part, *[part[-1:]] * missing])
        parts.append([rows[: len(part)] for rows in _run(backend, full)])
    return Outputs(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _run(backend: Backend, inputs: Frame) -> list[Answers]:
    """The probabilities, and the logits of a backend that has them."""
    try:
        if not isinstance(backend, GraphBackend):
            return [backend.infer(inputs)]
        named = backend.infer_all(inputs)
    except Exception as error:  # every engine has classes of its own
        raise CheckFailedError(f"it fails: {_first_line(error)}") from error
    first = next(iter(named.values()))
    return [first, named[LOGITS]] if LOGITS in named else [first]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def compare_outputs(reference: Outputs, outputs: Outputs, precision: str) -> Agreement:
    """Compare probabilities, and logits where both have them."""
    if reference.logits is None or outputs.logits is None:
        return compare(reference.probabilities, outputs.probabilities, precision)
    logits = (reference.logits, outputs.logits)
    return compare(reference.probabilities, outputs.probabilities, precision, logits)
