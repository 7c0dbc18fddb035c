"""Latency of a bundle, by `edgecnn profile` in a process of its own: here, or on a device by ssh.

A process without PyTorch: its threads and its memory would be measured too.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from edgecnn_export.sweep.folder import Latency
from edgecnn_runtime.errors import BackendError, InputError
from edgecnn_runtime.latency.device import device_of

HERE = "here"
TIMEOUT_S = 1800.0  # of one measurement; the slowest device takes minutes for the largest network
Measure = Callable[[str, str], Latency]  # precision, sha256 of its graph -> figures


class Settings(NamedTuple):
    """How every variant is measured.

    Attributes:
        frames: after the warm-up.
        backend: as `edgecnn profile` names them.
        threads: of the CPU; None for all cores.
    """

    frames: int = 300
    backend: str = "auto"
    threads: int | None = None

    def arguments(self, precision: str) -> list[str]:
        threads = ["--threads", str(self.threads)] if self.threads else []
        return [
            *("--precision", precision, "--backend", self.backend),
            *("--frames", str(self.frames), *threads, "--json", "-"),
        ]


class Meter(Protocol):
    """Where latency is measured; one bundle at a time."""

    @property
    def where(self) -> str: ...
    @property
    def settings(self) -> Settings: ...
    def bundle(self, path: Path) -> AbstractContextManager[Measure]: ...


class Here:
    """This machine."""

    where = HERE

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @contextmanager
    def bundle(self, path: Path) -> Iterator[Measure]:
        def measure(precision: str, sha256: str) -> Latency:
            command = [sys.executable, "-m", "edgecnn_runtime", "profile", str(path)]
            said = run([*command, *self.settings.arguments(precision)])
            return latency(said, self, sha256)

        yield measure


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is.

    Raises:
        BackendError: it does not end.
    """
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"{shlex.join(command)}: no end after {TIMEOUT_S:.0f} s") from None


def latency(said: subprocess.CompletedProcess[str], meter: Meter, sha256: str) -> Latency:
    """What `edgecnn profile --json -` has said.

    Raises:
        BackendError: it failed, and why; or what it said is no profile.
    """
    if said.returncode:
        raise BackendError(_last_line(said.stderr) or f"exit status {said.returncode}")
    try:
        found: dict[str, Any] = json.loads(said.stdout)
        whole, stages = found["end_to_end"], found["stages"]
        return Latency(
            where=meter.where,
            device=found["device"],
            backend=found["backend"],
            sha256=sha256,
            settings=meter.settings._asdict(),
            frames=found["frames"],
            first_ms=found["first_ms"],
            p50=whole["p50"],
            p90=whole["p90"],
            p95=whole["p95"],
            p99=whole["p99"],
            preprocess_ms=stages["preprocess"]["p50"],
            infer_ms=stages["infer"]["p50"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{meter.where}: 'edgecnn profile --json -' answered with something else ({error!r});"
            " is it another version?"
        ) from error


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].removeprefix("edgecnn profile: ") if lines else ""


def is_measured(found: Latency | None, meter: Meter, sha256: str) -> bool:
    """Whether a measurement is of this graph, on this device, in this way."""
    if found is None or (found.where, found.sha256) != (meter.where, sha256):
        return False
    if found.where == HERE and found.device != device_of(found.backend):
        return False  # the folder came from another machine, or this one changed
    return found.settings == meter.settings._asdict()
