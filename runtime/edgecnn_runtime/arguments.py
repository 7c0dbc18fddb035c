"""Keeps passwords out of the process list, where every user of a machine reads command lines."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Options of ours that a URI may carry behind its question mark. What is not in this list is
# somebody else's and may be a password: cameras have dozens of names for it.
PLAIN = {
    *("size", "fps", "format", "skip", "loop", "roi", "rotate", "transport", "decoder"),
    *("every_frame", "stall", "open_timeout", "retries", "seed", "frames"),
    *("rotate_mb", "rotate_s", "keep_mb", "on", "every", "qos"),
}
NAME = "EDGECNN_ARGUMENT_"  # what the variables are called, with a number behind it

_OURS = re.compile(rf"\$\{{({NAME}\d+)\}}")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_SECRETS = re.compile(
    r"(?P<user>(?<=://)[^/\s]+(?=@))"  # user:password of a URI
    r"|(?P<hook>(?<=webhook\+)https?://\S+)"  # who knows a webhook's address may post there
    r"|(?P<query>(?<=\?)(?=\S*=)\S+)"  # ?token=
    r"|(?P<property>(?<=user-pw=)\S+)"  # of a GStreamer pipeline
)


def hidden(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments with a `${NAME}` in the place of each credential, and what the names stand for.

    >>> hidden(["--source", "rtsp://me:secret@host/a"])
    (['--source', 'rtsp://${EDGECNN_ARGUMENT_1}@host/a'], {'EDGECNN_ARGUMENT_1': 'me:secret'})
    """
    values: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        if not _is_secret(match):
            return match[0]
        values[f"{NAME}{len(values) + 1}"] = match[0]
        return f"${{{NAME}{len(values)}}}"

    return [_SECRETS.sub(name, text) for text in arguments], values


def _is_secret(match: re.Match[str]) -> bool:
    left = _VARIABLE.sub("", match[0])  # what the user did not hide already
    if match["user"]:
        return left not in ("", ":") and not left.endswith(":")
    if match["query"]:
        pairs = (pair.partition("=") for pair in left.split("&"))
        return any(value and key not in PLAIN for key, _, value in pairs)
    return left != ""


def shown_again(arguments: Sequence[str], environment: dict[str, str]) -> list[str]:
    """Arguments as they were before `hidden`; what the names stood for leaves the environment."""
    found = {name for text in arguments for name in _OURS.findall(text)} & environment.keys()
    values = {name: environment.pop(name) for name in found}
    return [_OURS.sub(lambda m: values.get(m[1], m[0]), text) for text in arguments]


def take_arguments() -> list[str]:
    """The arguments of this process; with credentials among them it is first replaced by itself.

    The new program has the number, the open files and the ways with signals of the old one. In its
    arguments stand names, and the values in its environment, which only its owner can read. Not on
    Windows, where that would be another process, and not in a program that is not `edgecnn`.
    """
    if sys.platform != "win32" and _is_edgecnn(sys.argv[0]):
        again = command_of(sys.orig_argv, sys.argv[1:])
        if again is not None:
            command, values = again
            sys.stdout.flush()
            sys.stderr.flush()
            os.execve(sys.executable, command, {**os.environ, **values})
    return shown_again(sys.argv[1:], os.environ)  # type: ignore[arg-type]  # a mapping like it


def command_of(
    original: Sequence[str], arguments: Sequence[str]
) -> tuple[list[str], Mapping[str, str]] | None:
    """The command to run instead, and its variables; None where nothing has to be hidden.

    Args:
        original: the whole command line, interpreter first, as `sys.orig_argv` has it.
        arguments: those of the program, with which `original` must end.
    """
    command, values = hidden(arguments)
    before = len(original) - len(arguments)
    if not values or not sys.executable or list(original[before:]) != list(arguments):
        return None
    if hidden(command)[1]:  # it would be replaced again, for ever
        return None
    return [sys.executable, *original[1:before], *command], values


def _is_edgecnn(program: str) -> bool:
    """Whether this is the console script, or `python -m edgecnn_runtime`."""
    path = Path(program)
    return path.name == "edgecnn" or path == Path(__file__).with_name("__main__.py")
