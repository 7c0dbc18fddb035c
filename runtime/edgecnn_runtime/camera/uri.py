"""What a person writes for a source: names, variables, schemes; and what of it may be printed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edgecnn_runtime.errors import InputError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DEVICE = re.compile(r"/dev/video(\d+)")
_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.+)")


def expand(text: str) -> str:
    """Put environment variables in the place of `${NAME}`.

    Raises:
        InputError: one is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise InputError(
                f"${{{name}}} is named in {redacted(text)!r} but not set: export {name}=..."
            )
        return os.environ[name]

    return _VARIABLE.sub(value, text)


def redacted(uri: str) -> str:
    """A URI as it may be printed: user, password and query are left out."""
    without_user = re.sub(r"(?<=://)[^/]*@", "***@", uri)
    return re.sub(r"(?<=\?).*", "***", without_user) if "://" in uri else without_user


def split_name(text: str) -> tuple[str | None, str]:
    """`NAME=URI` -> (NAME, URI); a URI alone -> (None, URI). An existing file is never split."""
    match = _NAMED.fullmatch(text)
    if match is None or Path(text).exists():
        return None, text
    return match[1], match[2]


def scheme_of(plain: str) -> str | None:
    """What stands before `://`, in lower case; None where nothing does."""
    match = _SCHEME.match(plain)
    return match[1].lower() if match else None


def camera_number(plain: str) -> int | None:
    """The number of a camera: of `0` and `/dev/video0`, 0; None for anything else."""
    device = _DEVICE.fullmatch(plain)
    number = device[1] if device else plain
    return int(number) if number.isascii() and number.isdecimal() else None
