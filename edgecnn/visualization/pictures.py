"""Where a picture goes, and how it is written: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Metadata that changes with the hour or the version is left out: the same picture, the same bytes.
FORMATS = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}


def check_picture(path: Path) -> None:
    """Find out whether a picture can be written, before any work is done for it.

    Raises:
        InputError: an unknown suffix, no such folder, or a place that cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"picture {str(path)!r}; expected a name that ends in .png or .svg")
    if path.is_dir():
        raise InputError(f"picture {str(path)!r} is a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"picture {str(path)!r}: no folder {str(path.parent)!r}; make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def save_picture(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a figure as PNG or SVG, by the suffix.

    Args:
        dpi: pixels of an inch; a PNG's alone.

    Raises:
        InputError: as `check_picture`.
    """
    import matplotlib as mpl

    check_picture(path)
    suffix, data = path.suffix.lower(), BytesIO()
    with mpl.rc_context({"svg.hashsalt": "edgecnn"}):
        figure.savefig(data, format=suffix[1:], dpi=dpi, metadata=FORMATS[suffix])
    try:
        atomic_write(path, data.getvalue())
    except OSError as error:
        raise _cannot_write(path, error) from error


@cache
def breadth(text: str, points: float, weight: str = "normal") -> float:
    """Inches that a line of text takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0  # a path without letters has no extents
    font = FontProperties(weight=weight)
    return float(TextPath((0, 0), text, size=points, prop=font).get_extents().width) / 72


def _cannot_write(path: Path, error: OSError) -> InputError:
    """By the picture's name: the system tells of a temporary file that nobody asked for."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return InputError(f"cannot write {str(path)!r}: {why}; give another place")
