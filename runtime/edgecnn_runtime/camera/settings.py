"""How a source is opened, and what is taken of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal
from urllib.parse import parse_qsl

from edgecnn_runtime.camera.patience import Patience
from edgecnn_runtime.errors import InputError, unknown_name

Decoder = Literal["auto", "cpu", "gpu"]
Transport = Literal["tcp", "udp"]

DECODERS = ("auto", "cpu", "gpu")
TRANSPORTS = ("tcp", "udp")
TURNS = (0, 90, 180, 270)


@dataclass(frozen=True)
class Settings:
    """How a source is opened, and what is taken of it.

    Attributes:
        size: (width, height) that a camera is asked for.
        fps: frames a second that a camera is asked for, and the most that are taken of any source;
            a file is then played at this rate.
        format: four letters that a camera is asked for, as MJPG or YUYV.
        skip: frames that are left out after each one taken.
        loop: files begin again where they end.
        roi: (x, y, width, height) of the part that is taken, in pixels of the turned picture.
        rotate: degrees that the picture is turned by, clockwise.
        transport: of RTSP.
        decoder: where video is decoded; `gpu` is an error where FFmpeg has no decoder for it.
        every_frame: of live sources too, as far as the queue reaches; else the newest only.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    format: str | None = None
    skip: int = 0
    loop: bool = False
    roi: tuple[int, int, int, int] | None = None
    rotate: int = 0
    transport: Transport = "tcp"
    decoder: Decoder = "auto"
    every_frame: bool = False
    patience: Patience = field(default_factory=Patience)


def settings_of(texts: dict[str, Any], base: Settings | None = None) -> Settings:
    """Settings from what a person wrote; None, an empty text and False change nothing.

    Args:
        texts: by the names of `Settings` and `Patience`, as on the command line: `size` 640x480,
            `roi` X,Y,W,H.

    Raises:
        InputError: a name or a value that is none.
    """
    base = base or Settings()
    known = {f.name for f in (*fields(Settings), *fields(Patience))} - {"patience"}
    changes: dict[str, Any] = {}
    patience: dict[str, Any] = {}
    for name, value in texts.items():
        if name not in known:
            raise unknown_name("setting", name, sorted(known))
        if value is None or value == "" or value is False:
            continue
        parsed = _PARSERS[name](name, value)
        (patience if name in _PATIENCE else changes)[name] = parsed
    return replace(base, **changes, patience=replace(base.patience, **patience))


def settings_in_query(query: str, base: Settings) -> Settings:
    """Settings from the part of a URI behind its question mark: `size=640x480&fps=30`."""
    return settings_of(dict(parse_qsl(query, keep_blank_values=True)), base)


def _size(name: str, value: Any) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", str(value))
    if match is None or "0" in match.groups():
        raise InputError(f"{name} {value!r} is no size; expected WIDTHxHEIGHT, as 640x480")
    return int(match[1]), int(match[2])


def _roi(name: str, value: Any) -> tuple[int, int, int, int]:
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", str(value).replace(" ", ""))
    if match is None or "0" in match.groups()[2:]:
        raise InputError(f"{name} {value!r} is no region; expected X,Y,WIDTH,HEIGHT in pixels")
    x, y, width, height = map(int, match.groups())
    return x, y, width, height


def _number(least: float, *, whole: bool = False, above: bool = False) -> Any:
    def parse(name: str, value: Any) -> float:
        wanted = f"a {'whole ' if whole else ''}number {'above' if above else 'of at least'}"
        try:
            number = int(value) if whole else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not (number > least or (number == least and not above)) or number == float("inf"):
            raise InputError(f"{name} is {value!r}; expected {wanted} {least:g}")
        return number

    return parse


def _one_of(*known: Any) -> Any:
    def parse(name: str, value: Any) -> Any:
        found = next((k for k in known if str(k) == str(value)), None)
        if found is None:
            raise unknown_name(name, str(value), [str(k) for k in known])
        return found

    return parse


def _format(name: str, value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9 ]{4}", str(value)):
        raise InputError(f"{name} {value!r} is no format; expected four letters, as MJPG or YUYV")
    return str(value).upper()


def _flag(name: str, value: Any) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in known:
        raise InputError(f"{name} is {value!r}; expected yes or no")
    return known[str(value).lower()]


_PATIENCE = {f.name for f in fields(Patience)}
_PARSERS = {
    "size": _size,
    "fps": _number(0, above=True),
    "format": _format,
    "skip": _number(0, whole=True),
    "loop": _flag,
    "roi": _roi,
    "rotate": _one_of(*TURNS),
    "transport": _one_of(*TRANSPORTS),
    "decoder": _one_of(*DECODERS),
    "every_frame": _flag,
    "stall": _number(0, above=True),
    "open_timeout": _number(0, above=True),
    "retries": _number(0, whole=True),
}
