"""Which compilers are here, and everything in which they and their versions differ."""

from __future__ import annotations

import logging
import platform
import re
import sys
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from edgecnn_runtime.errors import BackendError, MissingPackageError, unknown_name

if TYPE_CHECKING:
    from edgecnn_export.tensorrt.api import Api

Name = Literal["tensorrt", "tensorrt-rtx"]
COMPILERS = ("auto", "tensorrt", "tensorrt-rtx")
JETSON = ("sm72", "sm87", "sm110")  # Xavier, Orin, Thor: TensorRT-RTX has no kernels for them
OLDEST = (10, 3)  # of plain TensorRT: what JetPack 6 has

log = logging.getLogger("edgecnn")


class Option(NamedTuple):
    """An option that not every compiler has.

    Attributes:
        needs: what the module must have for it.
        not_rtx: why TensorRT-RTX has none in spite of the names, and what to do there.
    """

    flag: str
    needs: str
    not_rtx: str = ""


# Batch, workspace and level need no row: every version takes them. TensorRT-RTX 1.7 has all the
# names and says nothing against most of them, so what it makes of each was tried. It takes
# `--level` and `--sparse` too, and the engines that come out have the same size.
OPTIONS = {
    "timing_cache": Option(
        "--timing-cache",
        "IBuilderConfig.set_timing_cache",
        "as TensorRT has: it times no kernels while it compiles; leave the option out",
    ),
    "version_compatible": Option(
        "--version-compatible",
        "BuilderFlag.VERSION_COMPATIBLE",
        "as TensorRT has: its engines run on the version that compiled them; compile again after an"
        " upgrade",
    ),
    "hardware_compatible": Option(
        "--hardware-compatible",
        "HardwareCompatibilityLevel.AMPERE_PLUS",
        "as TensorRT has: it compiles for other GPUs by name, --target sm80,sm86,sm89,sm120",
    ),
    "strip": Option("--strip", "BuilderFlag.STRIP_PLAN"),
    "refittable": Option("--refittable", "BuilderFlag.REFIT"),
    "sparse": Option("--sparse", "BuilderFlag.SPARSE_WEIGHTS"),
    "dla": Option(
        "--dla",
        "DeviceType.DLA",
        "which is a Jetson's: compile there, with JetPack's TensorRT",
    ),
}
# TensorRT-RTX runs a part of these on the GPU while it compiles; without a driver it fails.
RTX_NEEDS_A_GPU = ("strip", "refittable")


@dataclass(frozen=True)
class Compiler:
    """A TensorRT builder; `api` is its module."""

    name: Name
    version: str
    api: Api

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def targets(self) -> tuple[str, ...]:
        """Compute capabilities that it compiles for on any machine; empty: only for this one."""
        known = getattr(self.api, "ComputeCapability", None)
        names = [n for n in dir(known) if n.startswith("SM") and n[2:].isdigit()] if known else []
        return tuple(n.lower() for n in sorted(names, key=lambda n: int(n[2:])))

    def set_target(self, config: Any, target: str) -> None:
        """Have it compile for a target of `targets`; plain TensorRT knows none but this machine."""
        if self.targets():
            config.num_compute_capabilities = 1
            capability = getattr(self.api, "ComputeCapability")  # noqa: B009  # TensorRT-RTX alone
            config.set_compute_capability(getattr(capability, target.upper()), 0)

    def set_defaults(self, config: Any) -> None:
        """What every engine is built with.

        FP32 is as the workstation computes it: both allow TF32 by themselves, which rounds what
        enters a product to 11 bits. A CUDA graph can hold the engine: TensorRT-RTX may keep memory
        to itself that a captured stream cannot ask for. An inspector can tell kind, shapes and
        precision of its layers, and not their names alone.
        """
        flags: Any = self.api.BuilderFlag
        config.clear_flag(flags.TF32)
        config.profiling_verbosity = self.api.ProfilingVerbosity.DETAILED
        users_memory = getattr(flags, "REQUIRE_USER_ALLOCATION", None)  # TensorRT-RTX alone
        if users_memory is not None:
            config.set_flag(users_memory)

    def network_flags(self) -> int:
        """Strongly typed: a choice in TensorRT 10, and the only way since 11."""
        flag = getattr(self.api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def keeps_timings(self) -> bool:
        """Whether a timing cache makes its next build quicker."""
        return self.name == "tensorrt"

    def refuses_fp32_products(self, target: str) -> bool:
        """Whether it has no matrix product of FP32 tensors for a target: TensorRT-RTX on Turing."""
        return self.name == "tensorrt-rtx" and target == "sm75"

    def check(self, options: set[str], gpu: str | None) -> None:
        """Refuse options that it has not got.

        Args:
            options: names of `OPTIONS` that are asked for.
            gpu: this machine's GPU, such as `sm86`; None without one.

        Raises:
            BackendError: the first of them, who has it and what to do.
        """
        for name in (n for n in OPTIONS if n in options):
            option = OPTIONS[name]
            if self.name == "tensorrt-rtx" and option.not_rtx:
                raise BackendError(f"{self} has no {option.flag}, {option.not_rtx}")
            if self.name == "tensorrt-rtx" and name in RTX_NEEDS_A_GPU and gpu is None:
                raise BackendError(
                    f"{self} needs an NVIDIA GPU and its driver for {option.flag}, and none is"
                    " here; compile there, or leave the option out"
                )
            if not _has(self.api, option.needs):
                raise BackendError(
                    f"{self} has no {option.flag}: its API lacks {option.needs}; take a later"
                    " TensorRT, or leave the option out"
                )


def _has(api: object, dotted: str) -> bool:
    missing = object()
    found = reduce(lambda o, part: getattr(o, part, missing), dotted.split("."), api)
    return found is not missing


def find_compiler(name: str = "auto", *, is_jetson: bool = False) -> Compiler:
    """The compiler asked for; `auto` is TensorRT if it can be imported, else TensorRT-RTX.

    Raises:
        InputError: no such compiler.
        MissingPackageError: it is not installed; the message says what to install.
        BackendError: TensorRT-RTX on a Jetson, or a TensorRT that is too old.
    """
    if name not in COMPILERS:
        raise unknown_name("compiler", name, COMPILERS)
    if is_jetson and name == "tensorrt-rtx":
        raise BackendError(
            "TensorRT-RTX has no kernels for a Jetson; use JetPack's TensorRT, from a virtual"
            " environment made with --system-site-packages"
        )
    if name in ("auto", "tensorrt") and (found := _load("tensorrt")):
        if _release(found.version) >= OLDEST:
            return found
        old = f"{found} is too old: it needs 10.3 or later"
        if name == "tensorrt" or is_jetson:
            raise BackendError(f"{old}, which JetPack 6 and pip install 'edgecnn[tensorrt]' have")
        log.warning(old)
    if name in ("auto", "tensorrt-rtx") and not is_jetson and (found := _load("tensorrt-rtx")):
        return found
    raise MissingPackageError(_what_to_install(name, is_jetson))


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _load(name: Name) -> Compiler | None:
    try:
        api: Any = import_module(name.replace("-", "_"))
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
