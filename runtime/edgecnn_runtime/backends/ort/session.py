"""ONNX Runtime: the embedded default on every device."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn_runtime.errors import (
    BackendError,
    BundleError,
    MissingPackageError,
    NoKernelError,
)
from edgecnn_runtime.installed import conflicts
from edgecnn_runtime.latency.device import cores

try:
    import onnxruntime as ort
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel
except ImportError as error:
    raise MissingPackageError(
        f"ONNX Runtime does not load ({error}); install it: pip install 'edgecnn[cpu]'"
    ) from error

log = logging.getLogger("edgecnn")

_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
}


# On an x86 CPU without VNNI, ONNX Runtime's sums of 8-bit products saturate without a word. A graph
# for TensorRT is therefore computed as it is written, each value rounded to 8 bits and the sums in
# FP32, which is also faster here than what ONNX Runtime makes of it.
_AS_WRITTEN = {"session.disable_quant_qdq": "1"}
_WITHOUT_SATURATION = {"session.x64quantprecision": "1"}


def settings_for(precision: str | None) -> dict[str, str]:
    """Session entries with which a graph of a precision gives the right numbers on every CPU.

    Args:
        precision: as the manifest has it; None for a graph of which nothing is known.
    """
    if precision == "int8-cpu":  # its weights have 7 bits: no sum can saturate
        return {}
    return _AS_WRITTEN if precision == "int8" else _WITHOUT_SATURATION


class OrtBackend:
    """A session on one ONNX file: uint8 NHWC in, probabilities or pictures out, any batch."""

    def __init__(self, session: Any, name: str) -> None:
        self._session = session
        self.name = name
        inputs, outputs = session.get_inputs(), session.get_outputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(shape) != 4 or inputs[0].type != "tensor(uint8)":
            raise BundleError(
                f"the graph's input is {inputs[0].type} {shape}; expected one tensor of uint8"
                " (N, H, W, C): export the model with 'edgecnn export'"
            )
        # A side that the graph leaves open has a name, or nothing, where others have a number.
        height, width = (side if isinstance(side, int) else None for side in shape[1:3])
        self.input_shape: tuple[int | None, int | None, int] = (height, width, int(shape[3]))
        self._one_by_one = shape[0] == 1  # somebody else's graph, with a batch that is fixed
        self._input = inputs[0].name
        self.outputs = tuple(out.name for out in outputs)

    @property
    def metadata(self) -> dict[str, str]:
        """What the graph says of itself."""
        entries: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return entries

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """(N, H, W, C) uint8 -> (N, classes) float32, or (N, H', W', C') uint8 of a filter."""
        return self._run(self.outputs[:1], frames)[0]

    def infer_all(self, frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Every output by its name: logits too, where the graph answers with them."""
        return dict(zip(self.outputs, self._run(self.outputs, frames), strict=True))

    def _run(self, names: tuple[str, ...], frames: NDArray[np.uint8]) -> list[NDArray[Any]]:
        if self._one_by_one and len(frames) != 1:
            each = [self._run(names, frame[None]) for frame in frames]
            return [np.concatenate(rows) for rows in zip(*each, strict=True)]
        answers: list[NDArray[Any]] = self._session.run(names, {self._input: frames})
        return answers

    def close(self) -> None:
        self._session = None


def open_ort(
    path: Path,
    name: str = "auto",
    *,
    precision: str | None = None,
    threads: int | None = None,
    spin: bool = False,
) -> OrtBackend:
    """Open an ONNX file.

    A provider that was asked for and is not the session's first is an error: ONNX Runtime itself
    would only warn and run on the CPU.

    Args:
        precision: of the graph, as the manifest has it; see `settings_for`.
        spin: let the CPU's threads wait awake between frames: 5% faster where one frame follows the
            other, as in a file, and mere heat at a camera's rate.

    Raises:
        BackendError: the provider is not in this build, or does not start on this machine.
        NoKernelError: it has no kernel for a node of the graph, as the CPU for BF16.
        BundleError: the file is not a graph that ONNX Runtime can load.
    """
    conflict = conflicts().get("onnxruntime")
    if conflict:
        log.warning("%s; keep one: %s", *conflict)
    available = ort.get_available_providers()
    if name == "auto":
        name = "onnxruntime"
        if _PROVIDERS["onnxruntime-cuda"] in available and Path("/dev/nvidiactl").exists():
            try:
                return _open(path, "onnxruntime-cuda", precision, threads, spin)
            except BackendError as error:
                log.warning("%s; running on the CPU", error)
    if _PROVIDERS[name] not in available:
        raise BackendError(
            f"backend {name!r} needs {_PROVIDERS[name]}, this ONNX Runtime {ort.__version__} has"
            f" {', '.join(available)}; install: pip uninstall -y onnxruntime &&"
            " pip install 'edgecnn[gpu]'"
        )
    return _open(path, name, precision, threads, spin)


def _open(
    path: Path, name: str, precision: str | None, threads: int | None, spin: bool
) -> OrtBackend:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; what concerns the user is said by us
    options.intra_op_num_threads = threads or cores()
    if not spin:  # within a run the threads spin all the same
        options.add_session_config_entry("session.force_spinning_stop", "1")
    for key, value in settings_for(precision).items():
        options.add_session_config_entry(key, value)
    provider = _PROVIDERS[name]
    if name == "onnxruntime-cuda" and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # the CUDA libraries that came as wheels
    try:
        session = ort.InferenceSession(str(path), options, providers=[provider])
    except NoKernel as error:
        reason = f"{provider} of ONNX Runtime {ort.__version__}: {_first_line(error)}"
        raise NoKernelError(
            f"{path} does not run here: {reason}; take another graph with --precision, or an"
            " engine ('edgecnn compile')",
            reason,
        ) from error
    except Exception as error:
        raise BundleError(f"{path} cannot be loaded: {_first_line(error)}") from error
    if session.get_providers()[0] != provider:
        raise BackendError(
            f"{provider} does not start on this machine: a CUDA library or the driver is missing;"
            " 'edgecnn doctor' tells which"
        )
    return OrtBackend(session, name)


def _first_line(error: Exception) -> str:
    """Without the code that ONNX Runtime puts before it."""
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return _CODE.sub("", line)
