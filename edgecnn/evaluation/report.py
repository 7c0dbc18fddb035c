"""A judgement as one page: no other file, no foreign address, light and dark."""

from __future__ import annotations

import base64
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.data import Split
from edgecnn.evaluation.curves import RECALLS
from edgecnn.evaluation.intervals import Interval, wilson
from edgecnn.evaluation.judgement import Judgement
from edgecnn_runtime import __version__
from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.errors import InputError

Floats = NDArray[np.float64]

MATRIX = 24  # classes in the confusion matrix
PAIRS = 10  # of classes, confused most
ROWS = 100  # classes in the table
LINES = 6  # classes in the curves
THUMBNAIL = 160  # pixels
PLOT = (40, 8, 312, 232)  # left, top, width, height in a drawing of 360x280

NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "map": "mAP",
}


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        target: as it was named on the command line; `data` likewise.
        parameters: of all networks together.
        crops: looks at each picture.
        remarks: what its maker warns of.
    """

    target: str
    data: str
    parameters: int
    crops: str = "center"
    remarks: tuple[str, ...] = ()

    def per_million(self, found: Judgement) -> float | None:
        """Top-1 for each million parameters; None where their number is not known."""
        return found.metrics.top1 / (self.parameters / 1e6) if self.parameters else None


class _Line(NamedTuple):
    name: str
    points: str  # of an SVG polyline
    figure: float


class _Row(NamedTuple):
    label: str
    images: int
    called: int
    precision: float
    recall: float
    interval: Interval
    specificity: float
    accuracy: float
    ap: float | None


def check_report(path: Path) -> None:
    """Find out whether a report can be written, before any work is done for it.

    Raises:
        InputError: another suffix, no such folder, or a place that cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report {str(path)!r}; expected a name that ends in .html")
    if path.is_dir():
        raise InputError(f"report {str(path)!r} is a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"report {str(path)!r}: no folder {str(path.parent)!r}; make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_report(path: Path, found: Judgement, subject: Subject, split: Split) -> None:
    """Write the page, whole or not at all.

    Args:
        split: where the pictures of the mistakes are.

    Raises:
        InputError: it cannot be written there.
    """
    page = render(found, subject, split).encode()
    try:
        atomic_write(path, page)
    except OSError as error:
        raise _cannot_write(path, error) from error


def render(found: Judgement, subject: Subject, split: Split) -> str:
    """The page as HTML. What grows with the number of classes is cut to those confused most."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "x": _x, "y": _y}
    template = (files("edgecnn.evaluation") / "report.html.jinja").read_text(encoding="utf-8")
    chosen = _most_confused(found)
    precision, recall = found.topk.mean
    shares = found.counts.images > 0
    return environment.from_string(template).render(
        subject=subject,
        found=found,
        metrics=found.metrics,
        figures=[(n, k, getattr(found.metrics, k), found.intervals[k]) for k, n in NAMES.items()],
        per_million=subject.per_million(found),
        warnings=[*subject.remarks, *found.warnings],
        chosen=[found.labels[c] for c in chosen],
        matrix=_shaded(found.confusion(chosen), found.counts.images[chosen]),
        pairs=[
            (found.labels[c.truth], found.labels[c.called], c.images)
            for c in found.confused[:PAIRS]
        ],
        mean_curve=_points(RECALLS, np.nanmean(found.curves, 0)),
        lines=_lines(found),
        topk=list(zip(found.topk.accuracy, precision, recall, strict=True)),
        topk_line=_points(recall, precision),
        topk_lines=[
            _points(found.topk.recall[c], found.topk.precision[c])
            for c in np.flatnonzero(shares)[:MATRIX]
        ],
        most_in_bin=max(b.images for b in found.calibration.bins),
        mistakes=[(m, _picture(split.frame(m.index))) for m in found.mistakes],
        rows=_rows(found),
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        recalls=[0, 0.2, 0.4, 0.6, 0.8, 1],
    )


def _cannot_write(path: Path, error: OSError) -> InputError:
    """By the page's name: the system tells of a temporary file that nobody asked for."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return InputError(f"cannot write {str(path)!r}: {why}; give another place with --html")


def _percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}"


def _x(share: float) -> str:
    return f"{PLOT[0] + share * PLOT[2]:.1f}"


def _y(share: float) -> str:
    return f"{PLOT[1] + (1 - share) * PLOT[3]:.1f}"


def _points(x: Floats, y: Floats) -> str:
    return " ".join(f"{_x(a)},{_y(b)}" for a, b in zip(x, y, strict=True))


def _lines(found: Judgement) -> list[_Line]:
    """The curves of the classes with the lowest average precision."""
    order = np.argsort(found.ap, kind="stable")  # NaN, of classes without images, comes last
    order = order[: min(LINES, int(np.sum(found.counts.images > 0)))]
    return [
        _Line(found.labels[c], _points(RECALLS, found.curves[c]), float(found.ap[c])) for c in order
    ]


def _most_confused(found: Judgement) -> list[int]:
    """All classes; of many, those in the pairs that are confused most, and the largest."""
    classes = len(found.labels)
    if classes <= MATRIX:
        return list(range(classes))
    chosen: dict[int, None] = {}
    for pair in found.confused:
        new = {pair.truth, pair.called} - chosen.keys()
        if len(chosen) + len(new) <= MATRIX:
            chosen |= dict.fromkeys(new)
    for c in np.argsort(-found.counts.images, kind="stable"):
        if len(chosen) == MATRIX:
            break
        chosen.setdefault(int(c))
    return sorted(chosen)


def _shaded(matrix: NDArray[np.int64], images: NDArray[np.int64]) -> list[list[tuple[int, float]]]:
    """Each count with its share of the row."""
    shares = matrix / np.maximum(images, 1)[:, None]
    return [
        list(zip(row.tolist(), share.tolist(), strict=True))
        for row, share in zip(matrix, shares, strict=True)
    ]


def _rows(found: Judgement) -> list[_Row]:
    """The classes, the worst recall first; those without images are left out."""
    n = found.counts
    present = np.flatnonzero(n.images)
    order = present[np.lexsort((found.ap[present], n.recall[present]))][:ROWS]
    return [
        _Row(
            label=found.labels[c],
            images=int(n.images[c]),
            called=int(n.called[c]),
            precision=float(n.precision[c]),
            recall=float(n.recall[c]),
            interval=wilson(int(n.tp[c]), int(n.images[c])),
            specificity=float(n.specificity[c]),
            accuracy=float(n.accuracy[c]),
            ap=float(found.ap[c]),
        )
        for c in order
    ]


def _picture(frame: NDArray[np.uint8]) -> str:
    """A frame as a data URI; small ones lossless, larger ones as a small JPEG."""
    from PIL import Image

    image: Any = Image.fromarray(np.ascontiguousarray(frame[:, :, ::-1]))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    small = max(frame.shape[:2]) <= 64
    data, kind = BytesIO(), "png" if small else "jpeg"
    image.save(data, kind.upper(), **({} if small else {"quality": 82}))
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
