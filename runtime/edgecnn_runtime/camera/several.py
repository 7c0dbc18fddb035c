"""Several sources at once: from the command line, or from a TOML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from edgecnn_runtime.camera.settings import Settings, settings_of
from edgecnn_runtime.camera.source import Source
from edgecnn_runtime.camera.sources import open_source
from edgecnn_runtime.camera.uri import split_name
from edgecnn_runtime.errors import InputError, MissingPackageError, one_line


@dataclass(frozen=True)
class Wanted:
    """A source that somebody asks for; `name` is None where it is to be made from the URI."""

    uri: str
    name: str | None = None
    settings: Settings = field(default_factory=Settings)


def wanted_sources(
    texts: Sequence[str], cameras: str | Path | None, settings: Settings
) -> list[Wanted]:
    """The sources that a command line names.

    Args:
        texts: `[NAME=]URI` each.
        cameras: a TOML file of more, see `read_cameras`.
        settings: of all of them; a camera's own in the file come first.

    Raises:
        InputError: none is named, two have one name, or the file is wrong.
    """
    wanted = []
    for text in texts:
        name, uri = split_name(text)
        wanted.append(Wanted(uri, name, settings))
    if cameras is not None:
        wanted += read_cameras(cameras, settings)
    if not wanted:
        raise InputError("no source is named; give --source URI or --cameras FILE.toml")
    twice = [n for n, times in Counter(w.name for w in wanted).items() if n and times > 1]
    if twice:
        raise InputError(f"two sources are named {twice[0]!r}; give each a name of its own")
    return wanted


def read_cameras(path: str | Path, settings: Settings) -> list[Wanted]:
    """Sources from a file with a table for each: its name, its `uri`, and settings of its own.

    ::

        [front]
        uri = "rtsp://me:${FRONT_PASSWORD}@192.168.1.20/main"
        fps = 10
        roi = "0,0,640,360"

    Raises:
        InputError: the file is missing or no TOML, or a camera lacks its URI or has a setting that
            is none.
    """
    try:
        tables = msgspec.toml.decode(Path(path).read_bytes())
    except ImportError:  # Python 3.10 has none of its own
        raise MissingPackageError(
            "--cameras needs tomli on Python 3.10: pip install tomli"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {one_line(error)}") from None
    return [_camera(path, name, table, settings) for name, table in tables.items()]


def _camera(path: str | Path, name: str, table: Any, settings: Settings) -> Wanted:
    if not isinstance(table, dict) or not isinstance(table.get("uri"), (str, int)):
        raise InputError(f'{path}: camera {name} has no uri; expected [{name}] and uri = "..."')
    own = {key.replace("-", "_"): value for key, value in table.items() if key != "uri"}
    try:
        return Wanted(str(table["uri"]), name, settings_of(own, settings))
    except InputError as error:
        raise InputError(f"{path}: camera {name}: {error}") from None


def open_sources(wanted: Sequence[Wanted]) -> list[Source]:
    """Open sources, each with a name of its own.

    A single one has to be there. Of several, a camera that is absent keeps no other from starting:
    it is waited for as if it had been lost.

    Raises:
        SourceError: a file, or the only source, cannot be opened. Nothing is left open.
    """
    opened: list[Source] = []
    later = len(wanted) > 1
    try:
        for one in wanted:
            source = open_source(one.uri, name=one.name, settings=one.settings, later=later)
            taken = {other.name for other in opened}
            if source.name in taken:  # the same URI twice, or two files of one name
                source.close()
                name = next(n for i in count(2) if (n := f"{source.name}-{i}") not in taken)
                source = open_source(one.uri, name=name, settings=one.settings, later=later)
            opened.append(source)
    except BaseException:
        for source in opened:
            source.close()
        raise
    return opened
