"""Which compilers are here. TensorRT and TensorRT-RTX have the same Python API."""

from __future__ import annotations

import logging
import platform
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from edgecnn_runtime.errors import BackendError, InputError, MissingPackageError, unknown_name

Name = Literal["tensorrt", "tensorrt-rtx"]
COMPILERS = ("auto", "tensorrt", "tensorrt-rtx")
JETSON = ("sm72", "sm87", "sm110")  # Xavier, Orin, Thor: TensorRT-RTX has no kernels for them

log = logging.getLogger("edgecnn")


@dataclass(frozen=True)
class Compiler:
    """A TensorRT builder; `api` is its module."""

    name: Name
    version: str
    api: Any

    def targets(self) -> tuple[str, ...]:
        """Compute capabilities that it compiles for on any machine; empty: only for this one."""
        known = getattr(self.api, "ComputeCapability", None)
        names = [n for n in dir(known) if n.startswith("SM") and n[2:].isdigit()] if known else []
        return tuple(n.lower() for n in sorted(names, key=lambda n: int(n[2:])))


def find_compiler(name: str = "auto", *, is_jetson: bool = False) -> Compiler:
    """The compiler asked for; `auto` is TensorRT if it can be imported, else TensorRT-RTX.

    Raises:
        InputError: no such compiler.
        MissingPackageError: it is not installed; the message says what to install.
        BackendError: TensorRT-RTX on a Jetson.
    """
    if name not in COMPILERS:
        raise unknown_name("compiler", name, COMPILERS)
    if is_jetson and name == "tensorrt-rtx":
        raise BackendError(
            "TensorRT-RTX has no kernels for a Jetson; use JetPack's TensorRT, from a virtual"
            " environment made with --system-site-packages"
        )
    if name in ("auto", "tensorrt") and (found := _load("tensorrt")):
        return found
    if name in ("auto", "tensorrt-rtx") and not is_jetson and (found := _load("tensorrt-rtx")):
        return found
    raise MissingPackageError(_what_to_install(name, is_jetson))


def _load(name: Name) -> Compiler | None:
    try:
        api = import_module(name.replace("-", "_"))
        return Compiler(name, api.__version__, api)
    except ModuleNotFoundError:
        return None
    except (ImportError, OSError, AttributeError) as error:
        # PyPI's `tensorrt` is a stub that may stand there without its libraries.
        log.warning("%s is installed and does not load: %s", name, str(error).split("\n")[0])
        return None


def _what_to_install(name: str, is_jetson: bool) -> str:
    if sys.platform == "darwin":
        return "no TensorRT exists for macOS; compile on Linux or Windows, or on the device itself"
    if is_jetson:
        return (
            "JetPack's TensorRT cannot be imported: apt-get install python3-libnvinfer, and make"
            " the virtual environment with --system-site-packages"
        )
    if name == "tensorrt":
        return "TensorRT is not installed: pip install 'edgecnn[tensorrt]' (fetches from NVIDIA)"
    if platform.machine() not in ("x86_64", "AMD64", "aarch64"):
        return f"no TensorRT exists for {platform.machine()}; compile on x86-64 or aarch64"
    return (
        "no TensorRT compiler is installed: pip install 'edgecnn[tensorrt-rtx]' (RTX cards, no GPU"
        " needed to compile) or 'edgecnn[tensorrt]' (this machine's GPU)"
    )


def resolve_targets(compiler: Compiler, targets: str, here: str | None) -> list[str]:
    """`local` or `sm86,sm89` -> compute capabilities, each checked against the compiler.

    Args:
        here: this machine's GPU, such as `sm86`; None without one.

    Raises:
        InputError: an unknown target, or `local` without a GPU.
    """
    known = compiler.targets()
    names = [t.strip().lower() for t in targets.split(",") if t.strip()]
    if not names:
        raise InputError(f"--target {targets!r}; expected local, or a list such as sm86,sm89")
    resolved = []
    for name in names:
        target = _local(known, here) if name == "local" else name
        if not known and target != here:
            raise InputError(
                f"target {target}: TensorRT {compiler.version} compiles for this machine's GPU"
                f" alone ({here or 'there is none'}); TensorRT-RTX compiles for others"
            )
        if known and target not in known:
            raise _not_among(compiler, target, known)
        if target not in resolved:
            resolved.append(target)
    return resolved


def _local(known: tuple[str, ...], here: str | None) -> str:
    if here is None:
        more = (
            f"; name the GPUs to compile for, such as --target {known[-4]},{known[-3]}"
            if len(known) > 3
            else ""
        )
        raise InputError(f"--target local: no NVIDIA GPU is here{more}")
    return here


def _not_among(compiler: Compiler, target: str, known: tuple[str, ...]) -> InputError:
    if target in JETSON:
        return InputError(
            f"target {target} is a Jetson, which {compiler.name} has no kernels for; copy the"
            " bundle there and compile with JetPack's TensorRT"
        )
    return unknown_name("target", target, known, ", or local")
