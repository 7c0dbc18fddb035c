"""The answer to one frame."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.classifier import Prediction


@dataclass(frozen=True)
class Event:
    """A label that has been the answer for `seconds`; `utc` is when the last of its frames was."""

    label: str
    seconds: float
    utc: datetime


@dataclass(frozen=True)
class Result:
    """The answer to one frame.

    Attributes:
        source: its name.
        index: of the frame among those that the source gave, from 0; gaps are dropped frames.
        predictions: best first, as many as the classifier's `top_k`; none of a filter.
        frame: uint8 (H, W, 3) BGR as captured; yours to keep, not to write into.
        captured_at: UTC.
        frame_age_ms: from the capture stamp until this answer existed, waiting included.
        end_to_end_ms: the work on this frame: its three stages, without waiting.
        infer_ms: what the loop spent on inference; with two frames of a file on the GPU at once,
            what it spent on handing this one over and on waiting for its answer.
        picture: uint8 (H', W', 3) BGR, a filter's response to the frame; None of a classifier.
        backend: what answered; it changes where an engine takes over, or a GPU fails.
        steady: the answer over time, see `Steady`; None where nobody asked for it.
        events: what began to be true with this frame.
        film_s: seconds into the film that the frame is of; None of any other source.
    """

    source: str
    index: int
    predictions: list[Prediction]
    frame: NDArray[np.uint8]
    captured_at: datetime
    frame_age_ms: float
    preprocess_ms: float
    infer_ms: float
    postprocess_ms: float
    picture: NDArray[np.uint8] | None = None
    backend: str = ""
    steady: Prediction | None = None
    events: tuple[Event, ...] = ()
    film_s: float | None = None

    @property
    def shown(self) -> NDArray[np.uint8]:
        """What to show: a filter's picture, or else the frame."""
        return self.frame if self.picture is None else self.picture

    @property
    def best(self) -> Prediction:
        """The most probable class. A filter's result has none, and raises IndexError."""
        return self.predictions[0]

    @property
    def answer(self) -> Prediction:
        """What to show and act on: the steady answer, or else the best of this frame alone."""
        return self.best if self.steady is None else self.steady

    @property
    def end_to_end_ms(self) -> float:
        return self.preprocess_ms + self.infer_ms + self.postprocess_ms


def record_of(result: Result) -> dict[str, Any]:
    """A result as plain values, for JSON: everything but the pictures; a filter has no label.

    `label` is always of this frame alone; what `Steady` made of it stands beside it.
    """
    answer: dict[str, Any] = {}
    if result.predictions:
        best = result.best
        answer = {"label": best.label, "probability": best.probability}
        answer["predictions"] = result.predictions
    if result.steady is not None:
        answer["steady_label"] = result.steady.label
        answer["steady_probability"] = result.steady.probability
    if result.events:
        answer["events"] = result.events
    return {
        "source": result.source,
        "index": result.index,
        "utc": result.captured_at,
        "backend": result.backend,
        **answer,
        "frame_age_ms": result.frame_age_ms,
        "preprocess_ms": result.preprocess_ms,
        "infer_ms": result.infer_ms,
        "postprocess_ms": result.postprocess_ms,
    }
