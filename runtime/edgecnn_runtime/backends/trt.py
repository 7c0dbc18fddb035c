"""TensorRT and TensorRT-RTX: the only place of the runtime that imports them."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgecnn_runtime.atomic import atomic_write
from edgecnn_runtime.errors import BackendError, one_line

log = logging.getLogger("edgecnn")

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
INSTALL = {
    "tensorrt": "pip install 'edgecnn[tensorrt]'; on a Jetson, JetPack's: apt-get install"
    " python3-libnvinfer, in a virtual environment made with --system-site-packages",
    "tensorrt-rtx": "pip install 'edgecnn[tensorrt-rtx]'",
}
KINDS: dict[str, type[Any]] = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
}


class Tensor(NamedTuple):
    """An input or output of an engine, without its batch."""

    name: str
    shape: tuple[int, ...]
    dtype: type[Any]

    def size(self, batch: int) -> int:
        """Bytes of so many frames."""
        return batch * prod(self.shape) * np.dtype(self.dtype).itemsize


@cache
def load(compiler: str) -> Any:
    """The module of `tensorrt` or `tensorrt-rtx`.

    Raises:
        BackendError: it is not installed, or does not load.
    """
    try:
        api = import_module(MODULES[compiler])
        api.Runtime  # noqa: B018  # PyPI's `tensorrt` is a stub that may stand there without it
    except ModuleNotFoundError as error:
        raise BackendError(f"{compiler} is not installed: {INSTALL[compiler]}") from error
    except (ImportError, OSError, AttributeError) as error:
        raise BackendError(
            f"{compiler} is installed and does not load: {one_line(error)}"
        ) from error
    return api


def version(compiler: str) -> str | None:
    """Of a runtime that loads here; None where it does not."""
    try:
        return str(load(compiler).__version__)
    except BackendError:
        return None


class Engine:
    """An engine in the GPU's memory, for any number of contexts.

    Args:
        compiler: `tensorrt` or `tensorrt-rtx`.
        kernels: a file that keeps what TensorRT-RTX compiles when an engine is first run, so that
            the next start finds it; None to keep nothing.
        dla: the accelerator of a Jetson that it was compiled for.
        host_code: whether it may bring code for the CPU, as those do that later versions read.
        weights: the ONNX graph to take the weights from that were left out of it.

    Attributes:
        input: uint8 (H, W, C).
        outputs: in the graph's order.
        batch: smallest and largest.
        scratch_size: bytes that a context needs to work with.

    Raises:
        BackendError: TensorRT does not take it, in one line with its reason; or it is no engine of
            frames.
    """

    def __init__(
        self,
        compiler: str,
        data: bytes,
        what: str,
        *,
        kernels: Path | None = None,
        dla: int | None = None,
        host_code: bool = False,
        weights: Path | None = None,
        api: Any = None,
    ) -> None:
        self.compiler = compiler
        self.what = what
        self._api = load(compiler) if api is None else api
        self._logger, self._said = _collector(self._api)
        try:
            self._runtime = self._api.Runtime(self._logger)
            if dla is not None:
                self._runtime.DLA_core = dla
            if host_code:
                self._runtime.engine_host_code_allowed = True
            self._engine = self._runtime.deserialize_cuda_engine(data)
        except (RuntimeError, TypeError, ValueError) as error:  # the bindings' own
            self._said.append(one_line(error))
            raise self.error("does not load") from error
        if self._engine is None:
            raise self.error("does not load", self._diagnosis(data))
        if weights is not None:
            self._refit(weights)
        self.input, self.outputs = self._tensors()
        self.batch = self._batch()
        self.scratch_size = int(self._engine.device_memory_size_v2)
        self._kernels = kernels
        self._config, self._cache = self._just_in_time()

    def error(self, does: str, more: str = "") -> BackendError:
        """One line: the engine, what it does not do, and the first that TensorRT said to it."""
        said = _without_places(self._said[0]) if self._said else "no reason given"
        self._said.clear()
        of = f"{self.compiler} {self._api.__version__}"
        return BackendError(f"{self.what} {does} in {of}: {said}{more}")

    def context(self, batch: int, scratch: int) -> Any:
        """An execution context for one batch.

        A captured graph holds the state of its context: hence one for each batch, all of them on
        the same scratch memory where they do not run at once.

        Args:
            scratch: address of `scratch_size` bytes of the GPU.

        Raises:
            BackendError: there is no memory for it.
        """
        context = self._engine.create_execution_context(self._config)
        if context is None:
            raise self.error("gets no context")
        context.set_device_memory(scratch, max(1, self.scratch_size))
        if not context.set_input_shape(self.input.name, (batch, *self.input.shape)):
            raise self.error(f"does not take {batch} frames")
        return context

    def enqueue(self, context: Any, stream: int) -> None:
        """Queue the network on a stream.

        Raises:
            BackendError: TensorRT refuses.
        """
        if not context.execute_async_v3(stream):
            raise self.error("does not run")

    def may_capture(self, context: Any, stream: int) -> bool:
        """Whether a context can be captured in a CUDA graph: all of TensorRT's can."""
        ask = getattr(context, "is_stream_capturable", None)  # TensorRT-RTX
        return True if ask is None else bool(ask(stream))

    def listen(self, context: Any) -> list[tuple[str, float]]:
        """Have a context tell what each layer takes, and wait for each run.

        Returns:
            (layer, milliseconds), which the layers of the next runs are added to.
        """
        heard: list[tuple[str, float]] = []
        api = self._api

        class Listener(api.IProfiler):  # type: ignore[misc,name-defined]  # known at run time
            def __init__(self) -> None:
                api.IProfiler.__init__(self)

            def report_layer_time(self, layer_name: str, ms: float) -> None:
                heard.append((layer_name, ms))

        context.profiler = Listener()
        return heard

    def inspect(self) -> str:
        """What TensorRT's inspector tells of the layers, as JSON; of some the names alone."""
        inspector = self._engine.create_engine_inspector()
        text: str = inspector.get_engine_information(self._api.LayerInformationFormat.JSON)
        return text

    def keep_kernels(self) -> None:
        """Write down what was compiled so far. Without a file, or where nothing was: nothing."""
        if self._cache is None or self._kernels is None:
            return
        try:
            atomic_write(self._kernels, bytes(memoryview(self._cache.serialize())))
        except (OSError, TypeError, ValueError) as error:
            log.warning("%s: its kernels are not kept: %s", self.what, one_line(error))
            self._kernels = None

    def close(self) -> None:
        """Let go of the GPU's memory, after the last context has."""
        self._config = self._cache = self._engine = self._runtime = None

    def _just_in_time(self) -> tuple[Any, Any]:
        """What contexts are made with, and what holds the kernels that TensorRT-RTX compiles.

        A context gets its scratch memory from us. TensorRT-RTX compiles kernels for each batch; in
        its own way it does so in the background and exchanges them later, of which a captured graph
        would know nothing: it has to compile first and run then.
        """
        strategy = self._api.ExecutionContextAllocationStrategy.USER_MANAGED
        specialization = getattr(self._api, "DynamicShapesKernelSpecializationStrategy", None)
        if specialization is None:
            return strategy, None
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.dynamic_shapes_kernel_specialization_strategy = specialization.EAGER
        cache = config.create_runtime_cache()
        if self._kernels is not None and self._kernels.is_file():
            cache.deserialize(self._kernels.read_bytes())  # False, and empty, where it is outdated
        config.set_runtime_cache(cache)
        return config, cache

    def _tensors(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        enters = self._api.TensorIOMode.INPUT
        inputs = [n for n in names if self._engine.get_tensor_mode(n) == enters]
        outputs = [n for n in names if n not in inputs]
        found = [self._tensor(name) for name in inputs]
        if len(found) != 1 or len(found[0].shape) != 3 or found[0].dtype is not np.uint8:
            takes = ", ".join(f"{t.dtype.__name__} (N, {t.shape})" for t in found) or "nothing"
            raise BackendError(
                f"{self.what} takes {takes}; expected one tensor of uint8 (N, H, W, C): compile it"
                " from a bundle's graph"
            )
        return found[0], tuple(self._tensor(name) for name in outputs)

    def _tensor(self, name: str) -> Tensor:
        kind = self._engine.get_tensor_dtype(name).name
        shape = tuple(self._engine.get_tensor_shape(name))
        if kind not in KINDS or not shape or min(shape[1:], default=1) < 1:
            raise BackendError(
                f"{self.what}: tensor {name!r} is {kind} {shape}; expected numbers of a fixed size"
                " for each frame"
            )
        return Tensor(name, shape[1:], KINDS[kind])

    def _batch(self) -> tuple[int, int]:
        fixed = int(self._engine.get_tensor_shape(self.input.name)[0])
        if fixed > 0:
            return fixed, fixed
        least, _, most = self._engine.get_tensor_profile_shape(self.input.name, 0)
        return int(least[0]), int(most[0])

    def _refit(self, graph: Path) -> None:
        refitter = self._api.Refitter(self._engine, self._logger)
        parser = self._api.OnnxParserRefitter(refitter, self._logger)
        if not parser.refit_from_file(str(graph)) or not refitter.refit_cuda_engine():
            raise self.error(f"does not take the weights of {graph.name}")

    def _diagnosis(self, data: bytes) -> str:
        """What TensorRT-RTX finds in the engine's header; nothing where it finds nothing."""
        names = getattr(self._api, "EngineInvalidityDiagnostics", None)
        if names is None:
            return ""
        said = len(self._said)
        _, found = self._runtime.get_engine_validity(data[: self._runtime.engine_header_size])
        del self._said[said:]
        known: Sequence[Any] = tuple(getattr(names, "__members__", {}).values())
        flags = [flag.name for flag in known if int(found) & int(flag.value)]
        return f" ({', '.join(flags)})" if flags else ""


def _without_places(said: str) -> str:
    """What TensorRT says, without the lines of its own source that it says it in."""
    shorter = re.sub(r" ?In \w+ at /_src/[\w./]+:\d+ ?", "", said)
    return shorter.replace("((", "(").replace("))", ")")


def _collector(api: Any) -> tuple[Any, list[str]]:
    """A logger that keeps errors for our own message, and what it has kept."""
    said: list[str] = []
    errors = (api.ILogger.Severity.ERROR, api.ILogger.Severity.INTERNAL_ERROR)

    class Collector(api.ILogger):  # type: ignore[misc]  # its type is known only at run time
        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            line = " ".join(message.split())
            if severity in errors:
                said.append(line)
            else:
                log.debug("%s", line)

    return Collector(), said
