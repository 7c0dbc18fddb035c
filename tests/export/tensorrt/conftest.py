"""The real compiler, and a fake TensorRT for what only another version does."""

from __future__ import annotations

import enum
import types
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgecnn_export.tensorrt.compilers import Compiler, find_compiler


@pytest.fixture(scope="session")
def rtx() -> Compiler:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    return find_compiler("tensorrt-rtx")


def names(kind: str, *members: str) -> Any:
    return enum.IntEnum(kind, [(member, i) for i, member in enumerate(members)])


Severity = names("Severity", "INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")
LayerType = names(
    "LayerType", "CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM", "CONSTANT", "SCALE"
)
DataType = names("DataType", "FLOAT", "HALF", "UINT8")


class Logger:
    Severity = Severity


class Monitor:
    """Base of a progress monitor."""


@dataclass
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: Any


@dataclass
class Layer:
    """A convolution on half-precision frames, its weights inside."""

    name: str = "stem/Conv"
    type: Any = LayerType.CONVOLUTION
    metadata: str = "[ONNX Layer: stem/Conv]"
    num_inputs: int = 1
    num_outputs: int = 1
    kernel: Any = None
    bias: Any = None

    def get_input(self, _: int) -> Tensor:
        return Tensor("frames", (-1, 3, 48, 48), DataType.HALF)

    def get_output(self, _: int) -> Tensor:
        return Tensor("stem", (-1, 8, 24, 24), DataType.HALF)


@dataclass
class Timings:
    content: bytes

    def serialize(self) -> bytes:
        return self.content + b"+measured"


@dataclass
class Fake:
    """A TensorRT that builds nothing, and keeps what it was asked for.

    Attributes:
        cores: DLAs of the machine; `able` of its one layer can run there.
        starts: whether a builder can be made: it cannot without a driver.
        says: what it logs while it builds: severity and message.
        fails: it gives no engine.
        flags: that were set on the configuration.
        typed: the flags that the network was made with.
    """

    version: str = "10.3.0"
    lacks: tuple[str, ...] = ()
    cores: int = 0
    able: bool = True
    starts: bool = True
    says: tuple[tuple[Any, str], ...] = ()
    fails: bool = False
    flags: set[str] = field(default_factory=lambda: {"TF32"})
    typed: int | None = None
    config: Any = None

    def compiler(self) -> Compiler:
        return Compiler("tensorrt", self.version, self.api())

    def api(self) -> Any:
        flags = [
            n
            for n in ("STRIP_PLAN", "REFIT", "REFIT_IDENTICAL", "SPARSE_WEIGHTS", "GPU_FALLBACK")
            if n not in self.lacks
        ]
        api = types.ModuleType("tensorrt")
        api.__dict__.update(
            __version__=self.version,
            Builder=self.builder,
            BuilderFlag=names("BuilderFlag", "TF32", "VERSION_COMPATIBLE", *flags),
            DeviceType=names("DeviceType", "GPU", "DLA"),
            HardwareCompatibilityLevel=names("Level", "NONE", "AMPERE_PLUS"),
            IBuilderConfig=Config,
            IConvolutionLayer=Layer,
            ILogger=Logger,
            IProgressMonitor=Monitor,
            LayerType=LayerType,
            MemoryPoolType=names("MemoryPoolType", "WORKSPACE"),
            NetworkDefinitionCreationFlag=names("Flag", "EXPLICIT_BATCH", "STRONGLY_TYPED"),
            ProfilingVerbosity=names("Verbosity", "LAYER_NAMES_ONLY", "NONE", "DETAILED"),
            OnnxParser=lambda network, logger: types.SimpleNamespace(parse=lambda graph: True),
        )
        if "STRONGLY_TYPED" in self.lacks:
            api.__dict__["NetworkDefinitionCreationFlag"] = names("Flag", "EXPLICIT_BATCH")
        return api

    def builder(self, logger: Any) -> Any:
        if not self.starts:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35, cudaError 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return types.SimpleNamespace(
            num_DLA_cores=self.cores,
            create_network=self.network,
            create_builder_config=self.configure,
            create_optimization_profile=lambda: types.SimpleNamespace(set_shape=lambda *_: None),
            build_serialized_network=lambda network, config: self.build(logger),
        )

    def network(self, flags: int) -> Any:
        self.typed = flags
        return types.SimpleNamespace(
            num_layers=1,
            get_layer=lambda _: Layer(),
            get_input=lambda _: Tensor("frames", (-1, 48, 48, 3), DataType.UINT8),
        )

    def configure(self) -> Any:
        self.config = Config(self)
        return self.config

    def build(self, logger: Any) -> bytes | None:
        for severity, message in self.says:
            logger.log(severity, message)
        return None if self.fails else b"an engine"


class Config:
    """A builder's configuration."""

    def __init__(self, fake: Fake) -> None:
        self.fake, self.pools, self.timings = fake, {}, None

    def add_optimization_profile(self, profile: Any) -> None:
        pass

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.pools[pool.name] = size

    def set_flag(self, flag: Any) -> None:
        self.fake.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.fake.flags.discard(flag.name)

    def can_run_on_DLA(self, layer: Any) -> bool:  # noqa: N802  # TensorRT's name
        return self.fake.able

    def create_timing_cache(self, content: bytes) -> Timings | None:
        return None if content.startswith(b"broken") else Timings(content)

    def set_timing_cache(self, timings: Timings, *, ignore_mismatch: bool) -> bool:
        if timings.content.startswith(b"another GPU") and not ignore_mismatch:
            return False
        self.timings = timings
        return True

    def get_timing_cache(self) -> Timings | None:
        return self.timings


@pytest.fixture
def fake() -> type[Fake]:
    return Fake
