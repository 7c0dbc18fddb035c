"""What every verb does alike: where people's output goes, and how a result is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.backends import BACKENDS, COMPILE, POWERS, REFERENCES

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON; - is standard output."),
]

_NAMES = list(BACKENDS)
BackendOption = Annotated[
    str, typer.Option(metavar="NAME", help=f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}.")
]
BackendOrAllOption = Annotated[
    str, typer.Option(metavar="NAME", help=f"{', '.join([*_NAMES, *REFERENCES])} or all.")
]
PowerOption = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(POWERS),
        help="Between two frames the CPU's threads sleep, or wait awake for the next; or each has a"
        " frame of its own. save by default where a source is live or --fps paces it, else"
        " throughput.",
    ),
]
CompileOption = Annotated[
    str,
    typer.Option(
        metavar="|".join(COMPILE),
        help="Where there is no engine for this GPU: compile one in the background and switch to"
        " it between two frames, or wait for it.",
    ),
]


def console(json_file: str | None = None) -> Console:
    """Where people read: standard error when the JSON goes to standard output."""
    from rich.console import Console

    found = Console(stderr=json_file == "-", highlight=False, soft_wrap=True)
    if not found.is_terminal:
        found.width = 120  # a file or a pipe has no edge: tables need not be squeezed
    return found


def write_result(result: Any, json_file: str | None) -> None:
    """Write a verb's result to the file named by `--json`, or to standard output for `-`."""
    if json_file is None:
        return
    data = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    if json_file == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        atomic_write(Path(json_file), data)
