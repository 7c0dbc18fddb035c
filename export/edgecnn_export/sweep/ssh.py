"""Measure on a device over ssh: the system's own program, its keys and its configuration."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import NamedTuple
from urllib.parse import urlsplit

from edgecnn_export.sweep.folder import Latency
from edgecnn_export.sweep.measure import Measure, Settings, latency, run
from edgecnn_runtime.errors import BackendError, InputError, MissingPackageError

# Never a question: a sweep runs over night. What ssh cannot do without one it says in one line.
# A board that loses its power says no goodbye: after a minute without an answer it is gone.
OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=20"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
)
FAILED, NOT_FOUND = 255, 127  # exit status: of ssh itself, of a shell without the program


class Address(NamedTuple):
    """`ssh://user@host:port`; the user is the system's where none is said."""

    uri: str
    destination: str
    port: int | None


def parse_device(uri: str) -> Address:
    """Read a device's address.

    Raises:
        InputError: not `ssh://[USER@]HOST[:PORT]`, or with a password in it.
    """
    expected = "expected ssh://user@host or ssh://user@host:port"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"--device {uri!r}: {error}; {expected}") from None
    if parts.password is not None:
        raise InputError("--device holds a password; set up a key, and leave the password out")
    extra = parts.path not in ("", "/") or parts.query or parts.fragment
    if parts.scheme != "ssh" or not host or extra or host.startswith("-"):
        raise InputError(f"--device {uri!r}; {expected}")
    if parts.username and parts.username.startswith("-"):
        raise InputError(f"--device {uri!r}; {expected}")
    user = f"{parts.username}@" if parts.username else ""
    return Address(uri, f"{user}{host}", port)


class Ssh:
    """A device that ssh reaches.

    Args:
        program: the command line there; a path where a shell that is not a person's has it not.

    Raises:
        MissingPackageError: there is no ssh here.
    """

    def __init__(self, address: Address, settings: Settings, program: str = "edgecnn") -> None:
        for tool in ("ssh", "scp"):
            if shutil.which(tool) is None:
                raise MissingPackageError(
                    f"--device needs the program {tool}: apt install openssh-client"
                )
        self.address, self.settings, self.program = address, settings, program
        self.where = address.uri

    def check(self) -> str:
        """Find out whether edgecnn answers there, before hours of training; its version.

        Raises:
            BackendError: it does not, and why.
        """
        return self._ask(f"{self.program} --version").stdout.strip()

    @contextmanager
    def bundle(self, path: Path) -> Iterator[Measure]:
        folder = self._ask("mktemp -d /tmp/edgecnn-sweep.XXXXXX").stdout.strip()
        try:
            self._copy(path, folder)
            inside = shlex.quote(f"{folder}/{path.name}")

            def measure(precision: str, sha256: str) -> Latency:
                arguments = shlex.join(self.settings.arguments(precision))
                said = self._ssh(f"{self.program} profile {inside} {arguments}")
                if said.returncode in (FAILED, NOT_FOUND):
                    raise self._failed(said)
                return latency(said, self, sha256)

            yield measure
        finally:
            self._ssh(f"rm -rf {shlex.quote(folder)}")

    def _copy(self, path: Path, folder: str) -> None:
        port = ["-P", str(self.address.port)] if self.address.port else []
        to = f"{self.address.destination}:{folder}/"
        said = run(["scp", "-q", "-r", *OPTIONS, *port, str(path), to])
        if said.returncode:
            raise self._failed(said)

    def _ask(self, command: str) -> CompletedProcess[str]:
        said = self._ssh(command)
        if said.returncode:
            raise self._failed(said)
        return said

    def _ssh(self, command: str) -> CompletedProcess[str]:
        port = ["-p", str(self.address.port)] if self.address.port else []
        return run(["ssh", *OPTIONS, *port, self.address.destination, command])

    def _failed(self, said: CompletedProcess[str]) -> BackendError:
        lines = said.stderr.strip().splitlines() or said.stdout.strip().splitlines()
        why = lines[-1] if lines else f"exit status {said.returncode}"
        if said.returncode == FAILED:
            return BackendError(
                f"{self.where} cannot be reached: {why}; try: ssh {self.address.destination} true"
            )
        if said.returncode == NOT_FOUND:
            return BackendError(
                f"{self.where} has no program {self.program!r}: install edgecnn[cpu] there, or say"
                " where it is with --device-program"
            )
        return BackendError(f"{self.where}: {why}")
