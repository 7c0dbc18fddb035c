"""The command line: `edgecnn VERB`. It starts here because a device has it too.

The table names every verb's module by string; a module is imported when its verb is called, so
that `--help` is quick and a device without PyTorch has the verbs that it can run.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

import edgecnn_runtime
from edgecnn_runtime.arguments import take_arguments
from edgecnn_runtime.errors import EdgecnnError, MissingPackageError, unknown_name


class Verb(NamedTuple):
    module: str  # has a function `command`
    install: str  # the extra that brings what it needs
    help: str


VERBS = {
    "demo": Verb("edgecnn.commands.demo", "train,export,cpu", "The whole road on real images."),
    "models": Verb("edgecnn.commands.models", "train", "The zoo, or one network layer by layer."),
    "capture": Verb(
        "edgecnn_runtime.commands.capture", "cpu", "Collect photographs into class folders."
    ),
    "train": Verb("edgecnn.commands.train", "train,cpu", "Train a network on your images."),
    "evaluate": Verb("edgecnn.commands.evaluate", "train,cpu", "Accuracy of a run or a bundle."),
    "visualize": Verb(
        "edgecnn.commands.visualize", "train,cpu", "Draw what a network has learned."
    ),
    "export": Verb(
        "edgecnn_export.commands.export",
        "train,export,cpu",
        "Write a bundle: ONNX with the preprocessing inside, proved equal.",
    ),
    "verify": Verb(
        "edgecnn_export.commands.verify", "cpu", "Do all artifacts give the same answers?"
    ),
    "compile": Verb(
        "edgecnn_export.commands.compile", "tensorrt-rtx", "Compile TensorRT engines for GPUs."
    ),
    "sweep": Verb(
        "edgecnn_export.commands.sweep",
        "train,export,cpu",
        "Which width, resolution and precision fit a budget.",
    ),
    "profile": Verb(
        "edgecnn_runtime.commands.profile", "cpu", "Latency of each stage, in percentiles."
    ),
    "stream": Verb(
        "edgecnn_runtime.commands.stream", "cpu", "Classify or filter a camera or video."
    ),
    "info": Verb("edgecnn_runtime.commands.info", "cpu", "What a bundle holds, file by file."),
    "doctor": Verb(
        "edgecnn_runtime.commands.doctor", "cpu", "What this machine can do, what to install."
    ),
}


_OURS = ("edgecnn", "edgecnn_export", "edgecnn_runtime")


class _Verbs(TyperGroup):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        if _wants_the_real_one():
            return load(cmd_name)
        return TyperCommand(cmd_name, help=VERBS[cmd_name].help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in VERBS:
            raise unknown_name("verb", args[0], VERBS)
        return args[0], load(args[0]), args[1:]


def _wants_the_real_one() -> bool:
    """Whether a shell completes the options of a verb, which only the verb's module knows."""
    return "_EDGECNN_COMPLETE" in os.environ


def load(name: str) -> Any:
    """Import a verb's module and make its command.

    Raises:
        MissingPackageError: a package that it needs is not installed.
    """
    verb = VERBS[name]
    try:
        module = import_module(verb.module)
    except ModuleNotFoundError as error:
        missing = _missing(error, verb)
        if missing is None:
            raise
        raise missing from error
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, help=module.command.__doc__)(module.command)
    return typer.main.get_command(app)


def _missing(error: ModuleNotFoundError, verb: Verb) -> MissingPackageError | None:
    """What to install for a package that is absent; None for a module of ours, a mistake."""
    if error.name is None or error.name.split(".")[0] in _OURS:
        return None
    return MissingPackageError(
        f"needs the package {error.name!r}, which is not installed:"
        f" pip install 'edgecnn[{verb.install}]'"
    )


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Train, export, compile and stream image classifiers on edge devices.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"edgecnn {edgecnn_runtime.__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Run one command line, without the leading `edgecnn`.

    Returns:
        0 done; 1 a check failed; 2 the input was wrong, said in one line on standard error;
        130 interrupted.
    """
    verb = next((a for a in arguments if not a.startswith("-")), "")
    who = f"edgecnn {verb}" if verb in VERBS else "edgecnn"
    logging.basicConfig(format=f"{who}: %(message)s", level=logging.WARNING)
    try:
        status = typer.main.get_command(app).main(
            list(arguments), prog_name="edgecnn", standalone_mode=False
        )
    except EdgecnnError as error:
        return _fail(who, str(error), error.exit_status)
    except ModuleNotFoundError as error:  # of what a verb imports once it runs
        missing = _missing(error, VERBS[verb]) if verb in VERBS else None
        if missing is None:
            raise
        return _fail(who, str(missing), 2)
    except OSError as error:
        if not _is_users(error):
            raise
        return _fail(who, _in_one_line(error), 2)
    except Exception as error:
        # Typer carries its own copy of click and does not export its usage errors.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        text = str(message()) or "missing command"
        return _fail(who, f"{text.rstrip('.')}; see: {who} --help", 2)
    if status == 130:  # what Typer makes of KeyboardInterrupt
        return _fail(who, "interrupted", 130)
    return status if isinstance(status, int) else 0


def _is_users(error: OSError) -> bool:
    """Whether it tells of the user's disk and files, and not of a mistake of ours."""
    return error.errno in (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EFBIG,
        errno.ENAMETOOLONG,
    )


def _in_one_line(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    todo = {
        errno.ENOSPC: "; free some space or write to another disk, nothing was left half-written",
        errno.EDQUOT: "; free some space or write to another disk, nothing was left half-written",
    }
    return f"{where}{os.strerror(error.errno or 0)}{todo.get(error.errno or 0, '')}"


def _fail(who: str, message: str, status: int) -> int:
    sys.stderr.write(f"{who}: {message}\n")
    return status


def main() -> None:
    """The console script."""
    sys.exit(run(take_arguments()))
