"""An ONNX graph and a target in, a serialised engine out. Precision lives in the graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_runtime.errors import BackendError, InputError


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        batch: smallest, best and largest batch of the optimisation profile.
        workspace_mb: memory that the builder may use for scratch; the compiler's limit if None.
        dla: Jetson's deep learning accelerator to build for, the GPU taking what it cannot run.
    """

    batch: tuple[int, int, int] = (1, 1, 8)
    workspace_mb: int | None = None
    dla: int | None = None


def parse_batch(text: str) -> tuple[int, int, int]:
    """`1:1:8`, or `4` for a fixed batch -> (smallest, best, largest).

    Raises:
        InputError: anything else, or not in rising order.
    """
    parts = text.split(":")
    if len(parts) in (1, 3) and all(p.isdigit() for p in parts):
        low, best, high = (int(p) for p in (parts * 3 if len(parts) == 1 else parts))
        if 1 <= low <= best <= high <= 4096:
            return low, best, high
    raise InputError(f"batch {text!r}; expected N or MIN:BEST:MAX in rising order, such as 1:1:8")


def build_engine(
    compiler: Compiler, graph: bytes | Path, target: str, options: BuildOptions
) -> bytes:
    """Compile a graph for one compute capability.

    Args:
        graph: ONNX, serialised or as a file; beside the file may lie another with its weights.
        target: `sm86` and the like; for plain TensorRT this machine's own.

    Raises:
        BackendError: the compiler refuses the graph or an option; the message names the layer.
    """
    trt = compiler.api
    logger, messages = _logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse_from_file(str(graph)) if isinstance(graph, Path) else parser.parse(graph)
    if not parsed:
        raise BackendError(f"{_called(compiler)} cannot read the graph: {_parser_error(parser)}")
    config = _config(compiler, builder, network, target, options)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        reason = messages[-1] if messages else "no reason given"
        raise BackendError(f"{_called(compiler)} cannot compile for {target}: {reason}")
    return bytes(engine)


def _config(
    compiler: Compiler, builder: Any, network: Any, target: str, options: BuildOptions
) -> Any:
    trt = compiler.api
    config = builder.create_builder_config()
    frames = network.get_input(0)
    fixed, *image = tuple(frames.shape)
    if fixed != -1 and options.batch != (fixed, fixed, fixed):
        raise BackendError(
            f"the graph has a fixed batch of {fixed}, got {options.batch}; compile it with"
            f" --batch {fixed}"
        )
    profile = builder.create_optimization_profile()
    profile.set_shape(frames.name, *((batch, *image) for batch in options.batch))
    config.add_optimization_profile(profile)
    if options.workspace_mb is not None:
        size = options.workspace_mb << 20
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    if options.dla is not None:
        _use_dla(compiler, config, options.dla)
    if compiler.targets():
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), 0)
    return config


def _use_dla(compiler: Compiler, config: Any, core: int) -> None:
    trt = compiler.api
    if compiler.name == "tensorrt-rtx":
        raise BackendError("TensorRT-RTX has no DLA; compile with JetPack's TensorRT on the Jetson")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _called(compiler: Compiler) -> str:
    return f"{compiler.name} {compiler.version}"


def _parser_error(parser: Any) -> str:
    if not parser.num_errors:
        return "no reason given"
    error = parser.get_error(0)
    return f"{error.node_operator()} {error.node_name()}: {error.desc()}".replace("\n", " ")


def _logger(trt: Any) -> tuple[Any, list[str]]:
    """A logger that keeps errors for our own message and prints nothing."""
    messages: list[str] = []

    class Collect(trt.ILogger):  # type: ignore[misc]  # its type is known only at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                messages.append(message.strip().replace("\n", " "))

    return Collect(), messages
