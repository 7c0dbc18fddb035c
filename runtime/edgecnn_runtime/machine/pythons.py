"""Interpreters that may have what this one lacks: GStreamer's bindings come with the system's."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

SYSTEM_PYTHON = "/usr/bin/python3"


def pythons() -> Iterator[str]:
    """This one first, then the system's."""
    others = (SYSTEM_PYTHON, shutil.which("python3"))
    yield from dict.fromkeys([sys.executable, *(p for p in others if p and Path(p).exists())])
