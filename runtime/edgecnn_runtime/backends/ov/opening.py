"""Open an ONNX file with OpenVINO, and keep what it has compiled."""

from __future__ import annotations

import hashlib
import logging
import platform
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.backends.ov.loading import core, load, reason, version
from edgecnn_runtime.backends.ov.session import OvBackend
from edgecnn_runtime.errors import BundleError, NoKernelError
from edgecnn_runtime.latency.device import cores
from edgecnn_runtime.machine.access import Machine

log = logging.getLogger("edgecnn")

Caches = Callable[[str], Path]
DEVICE = "CPU"
_UNKNOWN = ("No conversion rule found", "does not support the following ONNX operations")
_DOT_PRODUCTS = re.compile(r"\b(avx512_vnni|avx_vnni|amx_int8)\b")  # of 8 bits, summed in 32


def settings_for(precision: str | None, machine: Machine | None = None) -> dict[str, Any]:
    """Settings with which a graph of a precision gives the right numbers on every CPU.

    Left alone, OpenVINO computes an FP32 graph in BF16 or FP16 where the CPU has those. An x86 CPU
    without VNNI adds 8-bit products in 16 bits, which saturate without a word: a graph in INT8 is
    computed there as it is written, each value rounded to 8 bits and the sums in FP32.

    Args:
        precision: as the manifest has it; None for a graph of which nothing is known.
    """
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    sums_safely = precision == "int8-cpu"  # its weights have 7 bits: no sum can saturate
    if not sums_safely and not _has_dot_products(machine or Machine()):
        settings["LP_TRANSFORMS_MODE"] = False
    return settings


def _has_dot_products(machine: Machine) -> bool:
    if machine.architecture not in ("x86_64", "AMD64"):
        return True
    return _DOT_PRODUCTS.search(machine.text("proc/cpuinfo")) is not None


def open_ov(
    path: Path,
    *,
    precision: str | None = None,
    threads: int | None = None,
    caches: Caches | None = None,
    identity: str = "",
) -> OvBackend:
    """Open an ONNX file on the CPU.

    Args:
        precision: of the graph, as the manifest has it; see `settings_for`.
        threads: all cores by default.
        caches: gives a folder, by a name, for what OpenVINO compiles.
        identity: the hashes of the graph and its weights; without them nothing is kept.

    Raises:
        BackendError: OpenVINO is not installed.
        NoKernelError: it lacks an operator of the graph.
        BundleError: the file is not a graph that it can load, or takes no frames.
    """
    compiler = _Compiler(path, settings_for(precision), threads or cores())
    if identity and caches is not None:
        compiler.keep(caches, identity)
    return OvBackend(compiler.compiled, lambda: _metadata(path))


class _Compiler:
    """Compiles one graph, or takes what was compiled before."""

    def __init__(self, path: Path, settings: dict[str, Any], threads: int) -> None:
        self._core = core()
        self._path = path
        self._settings = settings
        self._all = {**settings, "INFERENCE_NUM_THREADS": threads}
        self._folder: Path | None = None
        self._identity = ""

    def keep(self, caches: Caches, identity: str) -> None:
        """Keep what is compiled of the graph with these hashes, if it can be kept."""
        try:
            self._folder = caches(f"openvino-{version()}")
        except OSError as error:
            log.warning("%s is compiled at every start: %s", self._path.name, error)
        self._identity = identity

    def compiled(self, batch: int | None) -> Any:
        """OpenVINO's `CompiledModel` for so many frames, or for any number.

        Raises:
            NoKernelError, BundleError: as `open_ov`.
        """
        kept = self._kept(batch) if self._folder else None
        if kept is not None and kept.is_file():
            try:
                return self._core.import_model(kept.read_bytes(), DEVICE, self._all)
            except (RuntimeError, OSError) as error:
                log.info("%s is compiled again: %s", self._path.name, reason(error))
        compiled = self._compile(batch)
        if kept is not None:
            try:
                atomic_write(kept, compiled.export_model().getvalue())
            except (RuntimeError, OSError) as error:
                log.warning("%s is compiled at every start: %s", self._path.name, reason(error))
        return compiled

    def _compile(self, batch: int | None) -> Any:
        model = read(self._path)
        if batch is not None and len(model.inputs) == 1:
            shape = model.input(0).partial_shape
            if shape.rank.is_static and len(shape):
                shape[0] = batch
                with suppress(RuntimeError):  # somebody else's graph may be of one batch only
                    model.reshape(shape)
        try:
            return self._core.compile_model(model, DEVICE, self._all)
        except RuntimeError as error:
            raise _no_kernel(self._path, reason(error)) from error

    def _kept(self, batch: int | None) -> Path | None:
        """The file of what was compiled for this CPU from this graph, with these settings."""
        cpu = self._core.get_property(DEVICE, "FULL_DEVICE_NAME")
        can = sorted(self._core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))
        here = (load().__version__, platform.machine(), cpu, can)
        made = repr((*here, sorted(self._settings.items()), self._identity, batch))
        key = hashlib.sha256(made.encode()).hexdigest()[:16]
        return self._folder / f"{self._path.stem}-{key}.blob" if self._folder else None


def read(path: Path) -> Any:
    """OpenVINO's model of an ONNX file.

    Raises:
        NoKernelError: it lacks an operator of the graph.
        BundleError: it cannot be read.
    """
    # By its own name: else every other format is tried too, and each complains on standard error.
    frontend = load().frontend.FrontEndManager().load_by_framework("onnx")
    try:
        return frontend.convert(frontend.load(str(path)))
    except Exception as error:  # of one class for each kind of failure, and of no common one
        if any(words in str(error) for words in _UNKNOWN):
            raise _no_kernel(path, reason(error)) from error
        raise BundleError(f"{path} cannot be loaded: {reason(error)}") from error


def _no_kernel(path: Path, why: str) -> NoKernelError:
    why = f"OpenVINO {version()}: {why}"
    return NoKernelError(
        f"{path} does not run here: {why}; take another graph with --precision, or ONNX Runtime",
        why,
    )


def _metadata(path: Path) -> dict[str, str]:
    model = read(path)
    if not model.has_rt_info("framework"):
        return {}
    return {str(key): str(value) for key, value in model.get_rt_info("framework").value.items()}
