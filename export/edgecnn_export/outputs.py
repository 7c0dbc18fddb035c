"""What an engine answers to frames, some at a time: probabilities, and logits where it has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgecnn_export.agreement import Agreement, Answers, Frame, compare
from edgecnn_runtime.backends import Backend, GraphBackend
from edgecnn_runtime.camera.image import resize_frame
from edgecnn_runtime.errors import CheckFailedError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import graph_input

BATCH = 16
LOGITS = "logits"


class Outputs(NamedTuple):
    """What an artifact answers, (N, classes) each."""

    probabilities: Answers
    logits: Answers | None = None


def same_pictures(frames: Sequence[Frame], one: Input, two: Input) -> Sequence[Frame]:
    """Raw frames that two inputs see alike: of the camera's size where a graph takes only that."""
    size = one.frame or two.frame
    return [resize_frame(frame, *size) for frame in frames] if size else frames


def inputs_of(frames: Sequence[Frame], spec: Input) -> Frame:
    """Raw frames as the graph takes them: uint8 (N, *spec.takes).

    They go through the device's preprocessing; where the graph has its own, they are stretched to
    the camera's size.
    """
    inputs = np.empty((len(frames), *spec.takes), np.uint8)
    for place, frame in zip(inputs, frames, strict=True):
        whole = resize_frame(frame, *spec.frame) if spec.frame else frame
        place[:] = graph_input(whole, spec)
    return inputs


def outputs_of(backend: Backend, inputs: Frame, least: int = 1, most: int = BATCH) -> Outputs:
    """Run frames as the graph takes them, some at a time.

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


def compare_outputs(
    reference: Outputs, outputs: Outputs, precision: str, *, takes_frames: bool = False
) -> Agreement:
    """Compare probabilities, and logits where both have them."""
    both = (reference.probabilities, outputs.probabilities)
    logits = None
    if reference.logits is not None and outputs.logits is not None:
        logits = reference.logits, outputs.logits
    return compare(*both, precision, logits, takes_frames=takes_frames)
