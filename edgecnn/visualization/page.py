"""Drawings as files, and on one page: no other file, no foreign address, light and dark."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecnn.visualization.studio import Drawing
from edgecnn_runtime import __version__
from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "index.html"
DPI = 110

LIGHT = {"back": "#ffffff", "text": "#1b1f1c", "soft": "#5d655f"}
DARK = {"back": "#1b1f1c", "text": "#e8ebe7", "soft": "#9aa39c"}


class _Section(NamedTuple):
    drawing: Drawing
    light: str  # base64 of a PNG
    dark: str
    width: int  # in pixels


def write_pages(
    out: Path, drawings: Sequence[Drawing], *, title: str, command: str, warning: str = ""
) -> list[Path]:
    """Write a PNG for each drawing, and the page that holds them all.

    All of them are drawn before the first one is written.

    Returns:
        The files, the page last.

    Raises:
        InputError: `out` is a file.
    """
    check_folder(out)
    with themed(LIGHT):
        light = [_png(drawing.draw()) for drawing in drawings]
    with themed(DARK):
        dark = [_png(drawing.draw()) for drawing in drawings]
    page = _render(drawings, light, dark, title, command, warning)
    written = []
    for drawing, data in zip(drawings, light, strict=True):
        written.append(out / f"{drawing.name}.png")
        atomic_write(written[-1], data)
    written.append(out / PAGE)
    atomic_write(written[-1], page.encode())
    return written


def check_folder(out: Path) -> None:
    """Find out whether pictures can be written there, before any work is done for them.

    Raises:
        InputError: it is a file, or lies in one.
    """
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise InputError(f"{place} is a file; expected a folder for the pictures")


@contextmanager
def themed(colors: dict[str, str]) -> Iterator[None]:
    """Figures that are made in the block have these colours."""
    import matplotlib as mpl

    settings: Any = {
        **dict.fromkeys(
            ("figure.facecolor", "axes.facecolor", "savefig.facecolor"), colors["back"]
        ),
        **dict.fromkeys(("text.color", "axes.labelcolor"), colors["text"]),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), colors["soft"]),
        "grid.color": colors["soft"],
    }
    with mpl.rc_context(settings):
        yield


def _png(figure: Figure) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="png", dpi=DPI, metadata={"Software": None})
    return data.getvalue()


def _render(
    drawings: Sequence[Drawing],
    light: Sequence[bytes],
    dark: Sequence[bytes],
    title: str,
    command: str,
    warning: str,
) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = (files("edgecnn.visualization") / "page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        sections=[
            _Section(d, _base64(a), _base64(b), int.from_bytes(a[16:20], "big"))
            for d, a, b in zip(drawings, light, dark, strict=True)
        ],
        title=title,
        command=command,
        warning=warning,
        version=__version__,
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
