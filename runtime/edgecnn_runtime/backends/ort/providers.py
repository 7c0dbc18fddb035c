"""ONNX Runtime's execution providers: what each needs, and what is missing where one fails."""

from __future__ import annotations

import ctypes
import io
import sys
from contextlib import redirect_stdout, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

from edgecnn_runtime.backends import cuda as gpu
from edgecnn_runtime.backends import trt
from edgecnn_runtime.backends.ort.session import first_line
from edgecnn_runtime.errors import BackendError

PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
PLUGIN_PACKAGE = "onnxruntime-ep-nv-tensorrt-rtx-cu13"


class Provider(NamedTuple):
    """An execution provider.

    Attributes:
        ep: ONNX Runtime's name for it.
        library: the file of ONNX Runtime's own that it is in; empty where it is built in or comes
            as a plug-in.
        install: what brings the libraries that it needs.
    """

    ep: str
    library: str = ""
    install: str = ""


PROVIDERS = {
    "onnxruntime": Provider("CPUExecutionProvider"),
    "onnxruntime-cuda": Provider(
        "CUDAExecutionProvider", "onnxruntime_providers_cuda", "pip install 'edgecnn[gpu]'"
    ),
    "onnxruntime-tensorrt": Provider(
        "TensorrtExecutionProvider",
        "onnxruntime_providers_tensorrt",
        "the TensorRT of that version, pip install 'edgecnn[gpu,tensorrt]'",
    ),
    "onnxruntime-tensorrt-rtx": Provider("NvTensorRTRTXExecutionProvider"),
}


def require(name: str) -> None:
    """Refuse a provider that cannot start here, before ONNX Runtime tries.

    Raises:
        BackendError: it is not in this build, or there is no GPU; what to install.
    """
    ep = PROVIDERS[name].ep
    if name == "onnxruntime-tensorrt-rtx":
        _require_plugin(name)
    elif ep not in ort.get_available_providers():
        raise BackendError(
            f"backend {name!r} needs {ep}, this ONNX Runtime {ort.__version__} has"
            f" {', '.join(ort.get_available_providers())}; install: pip uninstall -y onnxruntime &&"
            " pip install 'edgecnn[gpu]'"
        )
    if name != "onnxruntime" and gpu.compute_capability() is None:
        raise BackendError(
            f"backend {name!r} needs an NVIDIA GPU and its driver, and there is none here"
        )


def _require_plugin(name: str) -> None:
    if not hasattr(ort, "register_execution_provider_library"):
        raise BackendError(
            f"backend {name!r} is a plug-in, which ONNX Runtime takes from 1.24 on; this is"
            f" {ort.__version__}"
        )
    if find_spec(PLUGIN) is None:
        raise BackendError(
            f"backend {name!r} needs the plug-in {PLUGIN_PACKAGE}: pip install {PLUGIN_PACKAGE}"
        )


def load_libraries(name: str) -> None:
    """Load the CUDA and TensorRT libraries that came as wheels, where ONNX Runtime finds none."""
    if name == "onnxruntime-tensorrt":
        with suppress(BackendError):  # told when the provider does not start
            trt.load("tensorrt")
    if hasattr(ort, "preload_dlls"):
        with redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()


def did_not_start(name: str, reason: str = "") -> BackendError:
    """The error for a provider that ONNX Runtime has left out: what it lacks."""
    provider = PROVIDERS[name]
    missing = _missing_library(provider.library) if provider.library else ""
    what = missing or reason or "the driver refuses it"
    todo = f"; install: {provider.install}" if missing else "; 'edgecnn doctor' tells more"
    return BackendError(f"{provider.ep} does not start on this machine: {what}{todo}")


def _missing_library(stem: str) -> str:
    """What the loader says when a provider's library is loaded; nothing where it loads.

    Only to be asked once ONNX Runtime has tried: the library looks for its host when it is loaded.
    """
    folder = Path(ort.__file__).parent / "capi"
    file = folder / (f"{stem}.dll" if sys.platform == "win32" else f"lib{stem}.so")
    try:
        ctypes.CDLL(str(file))
    except OSError as error:
        return str(error).split("\n", maxsplit=1)[0]
    return ""


def plugin_devices() -> list[Any]:
    """The GPUs that the TensorRT-RTX plug-in has.

    Raises:
        BackendError: it does not load, or has none.
    """
    name = _register_plugin()
    devices = [device for device in ort.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise BackendError(
            f"{name} does not run on this GPU, which is {gpu.compute_capability()}; it takes RTX"
            " cards from sm86 on"
        )
    return devices[:1]


@cache
def _register_plugin() -> str:
    """Register it with ONNX Runtime, once in a process; its name."""
    try:
        plugin = import_module(PLUGIN)
        name = str(plugin.get_ep_name())
        ort.register_execution_provider_library(name, plugin.get_library_path())
    except Exception as error:  # of several kinds, its own and ONNX Runtime's
        reason = first_line(error).rsplit("with error: ", maxsplit=1)[-1]
        raise BackendError(f"the plug-in {PLUGIN_PACKAGE} does not load: {reason}") from error
    return name
