"""Which results a sink wants, where every one would be too many."""

from __future__ import annotations

from time import monotonic

from edgecnn_runtime.stream.result import Result

SELECTIONS = ("frame", "change", "event")


class Selection:
    """Every result, those whose answer changed, or those with an event; and not too often.

    Args:
        on: one of `SELECTIONS`.
        every: least seconds between two of one source; events always pass.
    """

    def __init__(self, on: str = "frame", every: float = 0.0) -> None:
        self._on = on
        self._every = every
        self._labels: dict[str, str] = {}
        self._taken: dict[str, float] = {}

    def __call__(self, result: Result) -> bool:
        if result.events:
            return True
        if self._on == "event":
            return False
        now, source = monotonic(), result.source
        if now - self._taken.get(source, -self._every) < self._every:
            return False
        if self._on == "change" and result.predictions:
            label = result.answer.label
            if self._labels.get(source) == label:
                return False
            self._labels[source] = label
        self._taken[source] = now
        return True
