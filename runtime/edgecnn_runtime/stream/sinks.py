"""From a URI to a sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from edgecnn_runtime.camera.sources import expand, redacted
from edgecnn_runtime.errors import InputError, unknown_name
from edgecnn_runtime.stream.recording import VIDEO_SUFFIXES, VideoFile
from edgecnn_runtime.stream.result import Result
from edgecnn_runtime.stream.rotation import MB, Rotation
from edgecnn_runtime.stream.selection import SELECTIONS, Selection
from edgecnn_runtime.stream.sink import WAITING, Sink, SinkSummary, UndeliveredError, Writer
from edgecnn_runtime.stream.text_files import CsvLine, JsonLine, TextFile

if TYPE_CHECKING:
    from edgecnn_runtime.stream.live import Live

__all__ = ["Options", "Sink", "SinkSummary", "UndeliveredError", "Writer", "open_sinks"]

TAKEN = (
    "window, FILE.mp4, FILE.avi, FILE.jsonl, FILE.csv, - for JSON lines on standard output,"
    " http://HOST:PORT for the live page, rtsp://[HOST]:PORT/PATH, webhook+https://HOST/PATH,"
    " mqtt://HOST/TOPIC, events:FOLDER or uncertain:FOLDER"
)


@dataclass(frozen=True)
class Options:
    """What sinks share.

    Attributes:
        lossless: see `Sink`. The page never is.
        fps: frames a second that recordings play at, and 25 where None.
        random_weights: pictures say so.
        rotation: of files whose URI does not say otherwise.
        live: what the live page shows; it needs one.
    """

    lossless: bool
    fps: float | None = None
    random_weights: bool = False
    rotation: Rotation | None = None
    live: Live | None = None


@dataclass(frozen=True)
class _Opened:
    """A writer, what it is called in public, and which results it takes."""

    shown: str
    writer: Writer
    takes: Callable[[Result], bool] | None = None
    never_waits: bool = False


def open_sinks(
    uris: Sequence[str],
    *,
    lossless: bool,
    fps: float | None = None,
    random_weights: bool = False,
    rotation: Rotation | None = None,
    live: Live | None = None,
    sources: int = 1,
) -> list[Sink]:
    """Open sinks, each in a thread of its own.

    Args:
        uris: what `TAKEN` lists; may hold `${ENV}`. After a `?`: `rotate_mb`, `rotate_s` and
            `keep_mb` for files; `on=frame|change|event` and `every=SECONDS` for webhook and MQTT,
            and `qos` for the latter; `token` for the page.
        sources: how many are streamed; their frames may be answered all at once.

    Raises:
        InputError: an unknown kind, or a file that cannot be made. Nothing is left open.
    """
    options = Options(lossless, fps, random_weights, rotation, live)
    opened: list[_Opened] = []
    try:
        for uri in uris:
            opened.append(_open(uri, options))  # noqa: PERF401  # those before it must be closed
    except BaseException:
        for one in opened:
            one.writer.close()
        raise
    return [
        Sink(
            one.shown,
            one.writer,
            lossless=lossless and not one.never_waits,
            takes=one.takes,
            waiting=max(WAITING, 2 * sources),
        )
        for one in opened
    ]


def _open(uri: str, options: Options) -> _Opened:
    plain = expand(uri)
    kind = plain.split(":", 1)[0] if ":" in plain else ""
    opener = KINDS.get(kind)
    if opener is not None:
        try:
            return opener(uri, plain, options)
        except OSError as error:
            raise InputError(
                f"sink {redacted(uri)} cannot be opened: {error.strerror or error}"
            ) from error
    return _open_file(uri, plain, options)


def _open_file(uri: str, plain: str, options: Options) -> _Opened:
    name, query = _split_query(plain)
    path = Path(name).expanduser()
    rotation = _rotation(query, options.rotation, uri)
    _refuse_rest(query, ("rotate_mb", "rotate_s", "keep_mb"), uri)
    try:
        if plain == "-":
            return _Opened(uri, TextFile(None, JsonLine()))
        if path.suffix == ".jsonl":
            return _Opened(uri, TextFile(path, JsonLine(), rotation))
        if path.suffix == ".csv":
            return _Opened(uri, TextFile(path, CsvLine(), rotation))
        if path.suffix.lower() in VIDEO_SUFFIXES:
            video = VideoFile(
                path,
                options.fps or 25.0,
                random_weights=options.random_weights,
                rotation=rotation,
            )
            return _Opened(uri, video)
    except OSError as error:
        if not path.parent.is_dir():
            raise InputError(f"sink {uri}: there is no folder {path.parent}; make it") from error
        raise InputError(f"sink {uri} cannot be written: {error.strerror}") from error
    raise InputError(f"unknown sink {redacted(uri)!r}; expected {TAKEN}")


def _open_webhook(uri: str, plain: str, options: Options) -> _Opened:
    from edgecnn_runtime.stream.webhook import Webhook

    parts, ours, rest = _parts(plain.removeprefix("webhook+"), ("on", "every"), uri)
    # What follows the host is often a secret.
    shown = f"webhook+{parts.scheme}://{parts.hostname}"
    url = parts._replace(query=urlencode(rest)).geturl()
    return _Opened(shown, Webhook(url), _selection(ours, uri))


def _open_mqtt(uri: str, plain: str, options: Options) -> _Opened:
    from edgecnn_runtime.stream.mqtt import Mqtt

    parts, ours, rest = _parts(plain, ("on", "every", "qos"), uri)
    _refuse_rest(rest, ("on", "every", "qos"), uri)
    qos = ours.get("qos", "1")
    if qos not in ("0", "1", "2"):
        raise InputError(f"sink {redacted(uri)}: qos={qos}; expected 0, 1 or 2")
    shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
    return _Opened(shown, Mqtt(parts, qos=int(qos)), _selection(ours, uri))


def _open_page(uri: str, plain: str, options: Options) -> _Opened:
    from edgecnn_runtime.stream.page.writer import open_page

    parts, ours, rest = _parts(plain, ("token",), uri)
    _refuse_rest(rest, ("token",), uri)
    if options.live is None:
        raise InputError("the live page needs what it shows: pass live=Live(...)")
    assert parts.hostname is not None
    page = open_page(
        options.live,
        host=parts.hostname,
        port=8080 if parts.port is None else parts.port,
        token=ours.get("token"),
        random_weights=options.random_weights,
    )
    return _Opened(f"http://{parts.netloc.rpartition('@')[2]}", page, never_waits=True)


def _open_rtsp(uri: str, plain: str, options: Options) -> _Opened:
    from edgecnn_runtime.stream.rtsp.process import Address
    from edgecnn_runtime.stream.rtsp.writer import Rtsp

    parts = _split(plain, uri)
    if parts.query:
        raise InputError(f"sink {redacted(uri)} has options, and takes none")
    address = Address(
        parts.hostname or "127.0.0.1",
        8554 if parts.port is None else parts.port,
        parts.path.rstrip("/") or "/live",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
    served = Rtsp(address, fps=options.fps, random_weights=options.random_weights)
    shown = f"rtsp://{address.host}:{address.port}{address.path}"
    return _Opened(shown, served, never_waits=True)


def _open_events(uri: str, plain: str, options: Options) -> _Opened:
    from edgecnn_runtime.stream.kept_frames import EventFrames

    folder, rotation = _folder(uri, plain, options)
    return _Opened(uri, EventFrames(folder, rotation.keep_bytes), lambda r: bool(r.events))


def _open_uncertain(uri: str, plain: str, options: Options) -> _Opened:
    from edgecnn_runtime.stream.kept_frames import UncertainFrames, is_uncertain

    folder, rotation = _folder(uri, plain, options)
    return _Opened(uri, UncertainFrames(folder, rotation.keep_bytes), is_uncertain)


KINDS: dict[str, Callable[[str, str, Options], _Opened]] = {
    "http": _open_page,
    "rtsp": _open_rtsp,
    "webhook+http": _open_webhook,
    "webhook+https": _open_webhook,
    "mqtt": _open_mqtt,
    "mqtts": _open_mqtt,
    "events": _open_events,
    "uncertain": _open_uncertain,
}


def _folder(uri: str, plain: str, options: Options) -> tuple[Path, Rotation]:
    name, query = _split_query(plain.split(":", 1)[1])
    _refuse_rest(query, ("keep_mb",), uri)
    rotation = _rotation(query, options.rotation, uri) or Rotation()
    return Path(name).expanduser(), rotation


def _split_query(text: str) -> tuple[str, dict[str, str]]:
    name, _, query = text.partition("?")
    return name, dict(parse_qsl(query, keep_blank_values=True))


def _parts(
    url: str, ours: Sequence[str], uri: str
) -> tuple[SplitResult, dict[str, str], dict[str, str]]:
    """An URL, what in its query is for us, and the rest of it."""
    parts = _split(url, uri)
    if not parts.hostname:
        raise InputError(f"sink {redacted(uri)} names no host; expected {TAKEN}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    mine = {name: query.pop(name) for name in ours if name in query}
    return parts, mine, query


def _split(url: str, uri: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        assert parts.port is None or parts.port >= 0
    except ValueError as error:
        raise InputError(f"sink {redacted(uri)}: {error}") from error
    return parts


def _refuse_rest(query: dict[str, str], known: Sequence[str], uri: str) -> None:
    for name in query:
        if name not in known:
            raise unknown_name(f"option of sink {redacted(uri)}", name, known)


def _rotation(query: dict[str, str], default: Rotation | None, uri: str) -> Rotation | None:
    rotation = default or Rotation()
    if "rotate_mb" in query:
        bytes_ = round(_positive(query, "rotate_mb", uri) * MB)
        rotation = replace(rotation, rotate_bytes=bytes_)
    if "rotate_s" in query:
        rotation = replace(rotation, rotate_seconds=_positive(query, "rotate_s", uri))
    if "keep_mb" in query:
        rotation = replace(rotation, keep_bytes=round(_positive(query, "keep_mb", uri) * MB))
    return rotation if rotation != Rotation() else None


def _selection(query: dict[str, str], uri: str) -> Selection | None:
    on = query.get("on", "frame")
    if on not in SELECTIONS:
        raise unknown_name(f"on= of sink {redacted(uri)}", on, SELECTIONS)
    every = _positive(query, "every", uri) if "every" in query else 0.0
    return Selection(on, every) if on != "frame" or every else None


def _positive(query: dict[str, str], name: str, uri: str) -> float:
    try:
        value = float(query[name])
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InputError(f"sink {redacted(uri)}: {name}={query[name]}; expected a number above 0")
    return value
