"""One tree of errors. Every message says what was got, what was expected and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EdgecnnError(Exception):
    """Base of all errors raised on purpose; the command line prints it as one line.

    Attributes:
        exit_status: what the command line ends with.
    """

    exit_status = 2


class InputError(EdgecnnError, ValueError):
    """The input was wrong: an argument, a file, a name. Exit status 2."""


class BundleError(InputError):
    """A bundle is missing, incomplete, altered or of a schema that this version cannot read."""


class SourceError(InputError):
    """A camera, video, image or folder cannot be opened or read."""


class BackendError(InputError):
    """No engine can run the model here, or the one asked for cannot."""


class NoKernelError(BackendError):
    """An engine that runs here lacks an operator of this graph, or has it in other types.

    Attributes:
        reason: what it lacks.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class MissingPackageError(InputError):
    """A package that the command needs is not installed; the message holds the command to run."""


class CheckFailedError(EdgecnnError):
    """The work was done and its check failed: parity, verification. Exit status 1."""

    exit_status = 1


class InterruptedRunError(EdgecnnError):
    """A person stopped the work; the message says how to go on with it. Exit status 130."""

    exit_status = 130


def unknown_name(kind: str, name: str, known: Iterable[str], more: str = "") -> InputError:
    """The error for a name that is in no table: with the nearest one, or with all of them.

    >>> str(unknown_name("model", "mobilnet_v1", ["lenet5", "mobilenet_v1"]))
    "unknown model 'mobilnet_v1'; did you mean 'mobilenet_v1'?"
    """
    names = list(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return InputError(f"unknown {kind} {name!r}; did you mean {close[0]!r}?")
    return InputError(f"unknown {kind} {name!r}; expected one of: {', '.join(names)}{more}")
