"""What `verify` finds: a verdict on each artifact, and on this machine's preprocessing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

AGREES, DIFFERS = "agrees", "differs"
OTHER_ANSWERS = "other answers than expected"


@dataclass(frozen=True)
class Figures:
    """How far an artifact's answers are from those that they are compared with.

    Attributes:
        max_abs: largest difference of a probability; of pictures, in grey levels.
        max_logit_share: largest difference of a logit, as a share of the largest of its frame.
        on_logits: whether it is of logits; else of the logarithms of the probabilities.
        top1_agreement: share of the frames on which both decide alike.
        equal: of pictures, the share of values that are equal.
        worst_frame: index of the frame on which they are furthest apart.
    """

    frames: int = 0
    max_abs: float | None = None
    max_logit_share: float | None = None
    on_logits: bool | None = None
    top1_agreement: float | None = None
    equal: float | None = None
    worst_frame: int | None = None


@dataclass(frozen=True)
class Verdict:
    """One artifact of a bundle.

    Attributes:
        status: `agrees`, `differs`, or `not run: needs ...`.
        reason: why it differs, as closely as can be told.
        golden: against the workstation's answers to the golden frames.
        data: against the first artifact's answers to DATA, the first one's against themselves.
        backend: what ran it.
    """

    file: str
    precision: str
    status: str
    reason: str = ""
    golden: Figures | None = None
    data: Figures | None = None
    backend: str = ""

    @property
    def ran(self) -> bool:
        """Whether it could be run here."""
        return self.status in (AGREES, DIFFERS)

    def to_json(self) -> dict[str, Any]:
        """The figures of DATA where there is DATA, and those of the golden frames beside them."""
        figures = asdict(self.data or self.golden or Figures())
        beside = {"golden": asdict(self.golden)} if self.data and self.golden else {}
        named = {"file": self.file, "precision": self.precision, "status": self.status}
        return {**named, "reason": self.reason, "backend": self.backend, **figures, **beside}


@dataclass(frozen=True)
class Report:
    """Verdicts on all artifacts of a bundle, in the manifest's order.

    Attributes:
        preprocessing: how this machine's differs from the workstation's; empty where it does not.
    """

    artifacts: list[Verdict]
    preprocessing: str = ""

    @property
    def wrong(self) -> list[str]:
        """What is wrong, the cause before what follows from it; empty where all agree."""
        what = "preprocessing differs from the workstation's"
        found = [f"{what}: {self.preprocessing}"] if self.preprocessing else []
        files: dict[str, list[str]] = {}
        for verdict in self.artifacts:
            if verdict.status == DIFFERS:
                files.setdefault(verdict.reason, []).append(verdict.file)
        return found + [f"{', '.join(names)}: {reason}" for reason, names in files.items()]
