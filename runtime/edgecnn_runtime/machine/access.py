"""Where facts about a machine come from. A test puts another machine in the place of this one."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10  # for a command to answer


def ask(*command: str) -> str:
    """What a command prints, "" where it is absent, fails or does not answer."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@dataclass(frozen=True)
class Machine:
    """This machine by default.

    Attributes:
        root: under which /proc, /sys and /etc lie.
        system: as `sys.platform` names it: `linux`, `win32` or `darwin`.
        architecture: `x86_64`, `aarch64`, `AMD64` or `arm64`.
        ask: runs a command and returns what it prints, "" where there is none.
        load: opens a shared library by its name, OSError where there is none.
    """

    root: Path = Path("/")
    system: str = sys.platform
    architecture: str = platform.machine()
    ask: Callable[..., str] = ask
    load: Callable[[str], Any] = ctypes.CDLL

    def text(self, path: str | Path) -> str:
        """The content of a file, "" where it cannot be read. `path` is below the root."""
        try:
            content = (self.root / path).read_text(errors="replace")
        except OSError:
            return ""
        return content.strip("\0\n ")

    def number(self, path: str | Path) -> int | None:
        """The number that a file of /sys holds, None where there is none."""
        try:
            return int(self.text(path))
        except ValueError:
            return None

    def find(self, pattern: str) -> list[Path]:
        """The paths below the root that match, in order."""
        try:
            return sorted(self.root.glob(pattern))
        except OSError:
            return []

    def has(self, path: str) -> bool:
        return (self.root / path).exists()
