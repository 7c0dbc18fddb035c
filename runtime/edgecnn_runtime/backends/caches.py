"""Where compilers that run behind a backend keep what they made: in the bundle, if it may be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edgecnn_runtime.bundle import Bundle


def cache_folder(bundle: Bundle, name: str) -> Path:
    """A folder to write into, made: `engines/NAME` of the bundle, or of the user's cache.

    The user's is for a bundle that is read-only; there it bears the bundle's first graph in its
    name, so that what was made from another is never found.

    Raises:
        OSError: neither can be written.
    """
    inside = bundle.path / "engines" / name
    try:
        inside.mkdir(parents=True, exist_ok=True)
        if os.access(inside, os.W_OK):
            return inside
    except OSError:
        pass
    graphs = bundle.manifest.onnx
    key = (graphs[0] if graphs else bundle.manifest.artifacts[0]).sha256[:16]
    outside = _users_cache() / "edgecnn" / key / name
    outside.mkdir(parents=True, exist_ok=True)
    return outside


def _users_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home())
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
