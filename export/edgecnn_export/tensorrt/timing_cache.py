"""What plain TensorRT measured of its kernels, kept so that the next build is quicker."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.errors import one_line

if TYPE_CHECKING:
    import tensorrt as trt


def default_file(compiler: Compiler, gpu: str) -> Path:
    """Where the timings of a compiler's version on a GPU are kept.

    Args:
        gpu: its name or compute capability: timings of another model do not hold.
    """
    name = re.sub(r"[^a-z0-9.]+", "-", f"{compiler.name}-{compiler.version}-{gpu}".lower())
    return cache_folder() / f"{name.strip('-')}.timing"


def cache_folder() -> Path:
    """The user's cache: $XDG_CACHE_HOME/edgecnn, or what the system has for it."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    else:
        base = os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "edgecnn"


def load(config: trt.IBuilderConfig, file: Path, tell: Callable[[str], None]) -> None:
    """Give a build the timings of a file; one that is broken or of another GPU is passed over."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        content = b""
    except OSError as error:
        tell(f"the timing cache {file} cannot be read: {one_line(error)}; timing anew")
        content = b""
    if content and not _set(config, content):
        tell(f"the timing cache {file} is broken, or of another version or GPU; timing anew")
        content = b""
    if not content:
        _set(config, b"")


def _set(config: trt.IBuilderConfig, content: bytes) -> bool:
    with suppress(RuntimeError, ValueError, TypeError):  # as the binding turns down what it gets
        cache = config.create_timing_cache(content)
        return cache is not None and config.set_timing_cache(cache, ignore_mismatch=False)
    return False


def save(config: trt.IBuilderConfig, file: Path, tell: Callable[[str], None]) -> None:
    """Keep the timings of a build. That they cannot be kept is told and ends nothing."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    try:
        atomic_write(file, bytes(cache.serialize()))
    except OSError as error:
        tell(f"the timing cache {file} cannot be written: {one_line(error)}")
