"""Open an ONNX file with the provider that was asked for, and with no other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime as ort

from edgecnn_runtime.backends import ENGINE_BACKENDS
from edgecnn_runtime.backends import cuda as gpu
from edgecnn_runtime.backends.ort.bound import BoundOrtBackend, can_bind
from edgecnn_runtime.backends.ort.cpu import CpuBackend
from edgecnn_runtime.backends.ort.providers import (
    PROVIDERS,
    did_not_start,
    load_libraries,
    plugin_devices,
    require,
)
from edgecnn_runtime.backends.ort.session import OrtBackend, first_line, settings_for
from edgecnn_runtime.errors import BackendError, BundleError, NoKernelError, unknown_name
from edgecnn_runtime.installed import conflicts
from edgecnn_runtime.latency.device import cores

log = logging.getLogger("edgecnn")

Caches = Callable[[str], Path]
_state = ort.capi.onnxruntime_pybind11_state
NoKernel = _state.NotImplemented
_BROKEN_GRAPHS = (_state.InvalidProtobuf, _state.InvalidGraph, _state.NoSuchFile, _state.NoModel)
_NO_CAPTURE = "cannot use the graph capture feature"  # some node is not on the GPU
_QUIET, _USUAL = 4, 2  # severities: what concerns the user is said by us


def open_ort(
    path: Path,
    name: str = "auto",
    *,
    precision: str | None = None,
    threads: int | None = None,
    power: str = "save",
    cuda: str = "auto",
    graphs: bool = True,
    caches: Caches | None = None,
) -> OrtBackend:
    """Open an ONNX file.

    A provider that was asked for and is not the session's first is an error: ONNX Runtime itself
    would only warn and run on the CPU.

    Args:
        name: a provider of `PROVIDERS`; `auto` is CUDA where there is a GPU and it starts, else
            the CPU. TensorRT's are never taken unasked: they compile before the first answer.
        precision: of the graph, as the manifest has it; see `settings_for`.
        power: of the CPU, one of `POWERS`; see `CpuBackend`. To wait awake is 5% faster where one
            frame follows the other, and mere heat at a camera's rate.
        cuda: the binding that moves frames to the GPU; see `open_cuda`.
        graphs: let the CUDA provider capture the network where all of it is on the GPU.
        caches: gives a folder, by a name, for the engines that TensorRT's providers compile.

    Raises:
        BackendError: the provider is not in this build, or does not start on this machine; or it is
            a backend that runs engines.
        InputError: no such backend.
        NoKernelError: it has no kernel for a node of the graph, as the CPU for BF16.
        BundleError: the file is not a graph that ONNX Runtime can load.
    """
    if name in ENGINE_BACKENDS:
        raise BackendError(f"backend {name!r} runs engines, and {path.name} is a graph")
    if name != "auto" and name not in PROVIDERS:
        raise unknown_name("backend", name, ("auto", *PROVIDERS))
    conflict = conflicts().get("onnxruntime")
    if conflict:
        log.warning("%s; keep one: %s", *conflict)
    if name == "auto":
        name = "onnxruntime"
        has_cuda = PROVIDERS["onnxruntime-cuda"].ep in ort.get_available_providers()
        if has_cuda and gpu.compute_capability() is not None:
            try:
                return _open_cuda(path, _options(precision, threads), cuda, graphs)
            except BackendError as error:
                log.warning("%s; running on the CPU", error)
    require(name)
    if name == "onnxruntime":
        return _open_cpu(path, precision, threads or cores(), power)
    options = _options(precision, threads)
    if name == "onnxruntime-cuda":
        return _open_cuda(path, options, cuda, graphs)
    if name == "onnxruntime-tensorrt":
        return _open_tensorrt(path, options, precision, caches)
    return _open_plugin(path, options, caches)


def _open_cpu(path: Path, precision: str | None, threads: int, power: str) -> OrtBackend:
    def open_session(power: str) -> Any:
        one_each = power == "throughput"
        options = _options(precision, 1 if one_each else threads, spin=power == "latency")
        return _session(path, "onnxruntime", options, [PROVIDERS["onnxruntime"].ep])

    return CpuBackend(open_session, power, threads)


def _options(precision: str | None, threads: int | None, spin: bool = False) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads or cores()
    if not spin:  # within a run the threads spin all the same
        options.add_session_config_entry("session.force_spinning_stop", "1")
    for key, value in settings_for(precision).items():
        options.add_session_config_entry(key, value)
    return options


def _open_cuda(path: Path, options: Any, binding: str, graphs: bool) -> OrtBackend:
    """With memory and a stream of ours, and a CUDA graph where the whole network is on the GPU."""
    name = "onnxruntime-cuda"
    load_libraries(name)
    try:
        device = gpu.open_cuda(binding)
    except BackendError as error:
        log.info("frames are copied by ONNX Runtime itself: %s", error)
        return OrtBackend(_session(path, name, options, _cuda_provider()), name)
    with device:
        stream = device.stream()
        try:
            session, captures = _on_stream(path, options, stream.handle, graphs)
        except BaseException:
            stream.close()
            raise
    if not can_bind(session):  # a filter's frames are of any size
        stream.close()
        return OrtBackend(_session(path, name, options, _cuda_provider()), name)
    return BoundOrtBackend(session, name, device, stream, ort.RunOptions, graphs=captures)


def _on_stream(path: Path, options: Any, handle: int, graphs: bool) -> tuple[Any, bool]:
    """A session on a stream, and whether it captures a CUDA graph."""
    on_stream = {"user_compute_stream": str(handle)}
    name = "onnxruntime-cuda"
    if graphs:
        try:
            providers = _cuda_provider(**on_stream, enable_cuda_graph="1")
            return _session(path, name, options, providers), True
        except BackendError as error:
            if _NO_CAPTURE not in str(error.__cause__):
                raise
            log.info("no CUDA graph: %s", error.__cause__)
    return _session(path, name, options, _cuda_provider(**on_stream)), False


def _cuda_provider(**settings: str) -> list[Any]:
    # TF32 has ten bits of mantissa: a graph in FP32 would not answer as the workstation did.
    return [(PROVIDERS["onnxruntime-cuda"].ep, {"device_id": "0", "use_tf32": "0", **settings})]


def _open_tensorrt(
    path: Path, options: Any, precision: str | None, caches: Caches | None
) -> OrtBackend:
    name = "onnxruntime-tensorrt"
    load_libraries(name)
    settings = {"device_id": "0"}
    if precision in ("fp16", "bf16", "int8"):  # the graph is typed; TensorRT must be allowed to
        settings[f"trt_{precision}_enable"] = "1"
    if folder := _cache(name, caches):
        settings |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
    # What TensorRT does not take goes to CUDA, and not to the CPU.
    providers = [(PROVIDERS[name].ep, settings), *_cuda_provider()]
    backend = OrtBackend(_session(path, name, options, providers), name)
    _announce(folder)
    return backend


def _open_plugin(path: Path, options: Any, caches: Caches | None) -> OrtBackend:
    name = "onnxruntime-tensorrt-rtx"
    folder = _cache(name, caches)
    settings = {"nv_runtime_cache_path": str(folder)} if folder else {}
    options.add_provider_for_devices(plugin_devices(), settings)
    backend = OrtBackend(_session(path, name, options, None), name)
    _announce(folder)
    return backend


def _cache(name: str, caches: Caches | None) -> Path | None:
    """Where a provider keeps its engines."""
    if caches is None:
        return None
    try:
        folder = caches(f"{name.replace('onnxruntime', 'ort')}-{ort.__version__}")
    except OSError as error:
        log.warning("engines are compiled anew at every start: %s", error)
        return None
    return folder


def _announce(folder: Path | None) -> None:
    """Say that the first inference takes long, so that it does not look like a crash."""
    if folder is None:
        log.warning("the first inference compiles an engine, which may take minutes")
    elif not any(folder.iterdir()):
        log.warning(
            "the first inference compiles an engine, kept in %s: it may take minutes", folder
        )


def _session(path: Path, name: str, options: Any, providers: list[Any] | None) -> Any:
    ep = PROVIDERS[name].ep
    ort.set_default_logger_severity(_QUIET if ep != "CPUExecutionProvider" else _USUAL)
    try:
        session = ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except NoKernel as error:
        reason = f"{ep} of ONNX Runtime {ort.__version__}: {first_line(error)}"
        raise NoKernelError(
            f"{path} does not run here: {reason}; take another graph with --precision, or an"
            " engine ('edgecnn compile')",
            reason,
        ) from error
    except Exception as error:
        if name == "onnxruntime" or isinstance(error, _BROKEN_GRAPHS):
            raise BundleError(f"{path} cannot be loaded: {first_line(error)}") from error
        raise did_not_start(name, first_line(error)) from error
    finally:
        ort.set_default_logger_severity(_USUAL)
    if session.get_providers()[0] != ep:
        raise did_not_start(name)
    return session
