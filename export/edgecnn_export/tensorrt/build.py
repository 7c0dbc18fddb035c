"""An ONNX graph and a target in, a serialised engine out. Precision lives in the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn_export.tensorrt import timing_cache
from edgecnn_export.tensorrt.compilers import OPTIONS, Compiler
from edgecnn_export.tensorrt.progress import Show, Watch, monitor, run_watched
from edgecnn_export.tensorrt.reasons import Said, listen, reason, with_advice
from edgecnn_export.tensorrt.typed import Typed, read_typed, shape_of
from edgecnn_runtime.backends.cuda import compute_capability
from edgecnn_runtime.errors import BackendError, InputError
from edgecnn_runtime.manifest import EngineOptions

if TYPE_CHECKING:
    import tensorrt as trt


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    Attributes:
        batch: smallest, best and largest batch of the optimisation profile.
        engine: what the manifest says of the engine besides.
        timings: the file of a timing cache; None for none.
    """

    batch: tuple[int, int, int] = (1, 1, 8)
    engine: EngineOptions = field(default_factory=EngineOptions)
    timings: Path | None = None

    def asked(self) -> set[str]:
        """Names of `compilers.OPTIONS` that are not left as they are."""
        plain = EngineOptions()
        changed = {n for n in OPTIONS if getattr(self.engine, n, None) != getattr(plain, n, None)}
        return changed | ({"timing_cache"} if self.timings else set())


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


@dataclass(frozen=True)
class Graph:
    """A graph as a compiler has read it; engines for several targets can be built from it."""

    compiler: Compiler
    builder: trt.Builder
    network: trt.INetworkDefinition
    typed: Typed
    parser: trt.OnnxParser = field(repr=False)  # the network's weights are the parser's


def read_graph(compiler: Compiler, graph: bytes | Path) -> Graph:
    """Have a compiler read a graph.

    Args:
        graph: ONNX, serialised or as a file; beside the file may lie another with its weights.

    Raises:
        BackendError: it cannot be read, or the compiler does not start; the message names the
            layer.
    """
    api = compiler.api
    said = listen(api)
    try:
        builder = api.Builder(said.logger)
    except (TypeError, RuntimeError) as error:  # as pybind11 has it where it got no object
        why = with_advice(reason(said.errors or [str(error).split("\n")[0]]))
        raise BackendError(f"{compiler} does not start: {why}") from error
    network = builder.create_network(compiler.network_flags())
    parser = api.OnnxParser(network, said.logger)
    parsed = parser.parse_from_file(str(graph)) if isinstance(graph, Path) else parser.parse(graph)
    if not parsed:
        raise BackendError(f"{compiler} cannot read the graph: {_parser_error(parser)}")
    return Graph(compiler, builder, network, read_typed(api, network), parser)


def build_engine(
    compiler: Compiler,
    graph: bytes | Path | Graph,
    target: str,
    options: BuildOptions,
    *,
    show: Show | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Compile a graph for one compute capability.

    Args:
        graph: ONNX, serialised or as a file, or what `read_graph` made of it.
        target: `sm86` and the like; for plain TensorRT this machine's own.
        show: called about ten times a second with what the builder is at, and the share done.
        tell: called with a line about what was done otherwise than asked.

    Raises:
        BackendError: the compiler refuses the graph or an option; the message names the layer.
        KeyboardInterrupt: Ctrl-C was pressed; the builder has stopped.
    """
    if asked := options.asked():
        compiler.check(asked, compute_capability())
    read = graph if isinstance(graph, Graph) else read_graph(compiler, graph)
    check_target(read, target)
    said = listen(compiler.api)
    config = _config(read, target, options)
    if options.engine.dla is not None:
        tell(_use_dla(read, config, options))
    if options.timings:
        timing_cache.load(config, options.timings, tell)
    watch = Watch()
    config.progress_monitor = watched = monitor(compiler.api, watch)

    def work() -> bytes:
        built = read.builder.build_serialized_network(read.network, config)
        if built is None:
            raise BackendError(with_advice(reason(said.errors)))
        return bytes(built)

    try:
        engine = run_watched(work, watch, show)
    except (BackendError, MemoryError, RuntimeError) as error:
        why = str(error) if isinstance(error, BackendError) else with_advice(repr(error))
        raise BackendError(f"{compiler} cannot compile for {target}: {why}") from error
    del watched  # TensorRT itself keeps no reference to it
    if options.timings:
        timing_cache.save(config, options.timings, tell)
    if options.engine.sparse:
        tell(_sparsity(compiler, said))
    return engine


def _sparsity(compiler: Compiler, said: Said) -> str:
    """What became of 2:4 sparsity: a graph without such weights is compiled as if not asked."""
    if not said.sparsity:
        return f"--sparse: {compiler} tells of no layer with 2:4 weights"
    return f"--sparse: {'; '.join(line.rstrip(': ') for line in said.sparsity)}"


def check_target(graph: Graph, target: str) -> None:
    """Refuse beforehand what fails anyway, after which the next engine would come out larger.

    Raises:
        BackendError: the compiler has no kernel of this precision for the target.
    """
    if not graph.compiler.refuses_fp32_products(target):
        return
    refused = [
        p.layer for p in graph.typed.products if p.fp32_tensors and p.kind == "matrix product"
    ]
    if refused:
        raise BackendError(
            f"{graph.compiler} has no FP32 matrix product for {target}, and {refused[0]!r} is one;"
            " FP16 compiles: export with --precision fp16, and compile that alone with"
            " --precision fp16"
        )


def _config(graph: Graph, target: str, options: BuildOptions) -> trt.IBuilderConfig:
    api, compiler, asked = graph.compiler.api, graph.compiler, options.engine
    config = graph.builder.create_builder_config()
    compiler.set_defaults(config)
    _set_batch(graph, config, options.batch)
    config.builder_optimization_level = asked.level
    if asked.workspace_mb is not None:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, asked.workspace_mb << 20)
    if asked.version_compatible:
        config.set_flag(api.BuilderFlag.VERSION_COMPATIBLE)
    if asked.hardware_compatible:
        config.hardware_compatibility_level = api.HardwareCompatibilityLevel.AMPERE_PLUS
    if asked.strip:
        config.set_flag(api.BuilderFlag.STRIP_PLAN)
    if asked.refittable:
        config.set_flag(api.BuilderFlag.REFIT)
    elif asked.strip:  # the same weights come back: more can be stripped, and kernels stay fast
        config.set_flag(api.BuilderFlag.REFIT_IDENTICAL)
    if asked.sparse:
        config.set_flag(api.BuilderFlag.SPARSE_WEIGHTS)
    compiler.set_target(config, target)
    return config


def _set_batch(graph: Graph, config: trt.IBuilderConfig, batch: tuple[int, int, int]) -> None:
    frames = graph.network.get_input(0)
    fixed, *image = shape_of(frames)
    if fixed != -1 and batch != (fixed, fixed, fixed):
        raise BackendError(
            f"the graph has a fixed batch of {fixed}, got {':'.join(map(str, batch))}; compile it"
            f" with --batch {fixed}"
        )
    profile = graph.builder.create_optimization_profile()
    shapes: Any = [(size, *image) for size in batch]  # the binding takes any sequence as Dims
    profile.set_shape(frames.name, *shapes)
    config.add_optimization_profile(profile)


def _use_dla(graph: Graph, config: trt.IBuilderConfig, options: BuildOptions) -> str:
    """Prefer a DLA for every layer that can run there; say how many can."""
    api, cores, core = graph.compiler.api, graph.builder.num_DLA_cores, options.engine.dla or 0
    if core >= cores:
        have = f"this machine has {cores}" if cores else "it sees none on this machine"
        raise BackendError(
            f"--dla {core}: {graph.compiler} numbers DLAs from 0, and {have}; leave the option out"
            " to compile for the GPU"
        )
    if len(set(options.batch)) > 1:
        raise BackendError(
            f"a DLA runs one batch size, got {':'.join(map(str, options.batch))}; compile it with"
            f" --batch {options.batch[1]}"
        )
    config.default_device_type = api.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(api.BuilderFlag.GPU_FALLBACK)
    layers = [graph.network.get_layer(i) for i in range(graph.network.num_layers)]
    able = sum(bool(config.can_run_on_DLA(layer)) for layer in layers)
    if not able:
        raise BackendError(
            f"no layer of this graph can run on a DLA, which computes in FP16 and INT8; compile an"
            f" FP16 graph, or leave out --dla {core}"
        )
    return f"{able} of {len(layers)} layers can run on DLA {core}, the GPU takes the rest"


def _parser_error(parser: trt.OnnxParser) -> str:
    if not parser.num_errors:
        return "no reason given"
    error = parser.get_error(0)
    where = " ".join(part for part in (error.node_operator(), error.node_name()) if part)
    said = error.desc().replace("\n", " ").strip()
    if not where:
        return f"{said.rstrip('.')}; the file is no ONNX graph or was cut short, export it again"
    return f"{where}: {said.rstrip('.')}; it runs on ONNX Runtime as it is"
