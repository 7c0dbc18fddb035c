"""Where data sets lie that are too large to be carried along."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache: $XDG_CACHE_HOME/edgecnn, ~/.cache/edgecnn where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecnn"


def data_folder(given: str | Path | None = None) -> Path:
    """What `--data-dir` names, else $EDGECNN_DATA, else `data` in the user's cache."""
    chosen = given or os.environ.get("EDGECNN_DATA")
    return Path(chosen).expanduser() if chosen else cache_folder() / "data"
