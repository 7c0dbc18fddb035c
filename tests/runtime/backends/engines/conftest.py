"""A TensorRT for the GPU that computes on the host, and a machine with both."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import cuda as gpu
from edgecnn_runtime.backends import trt
from edgecnn_runtime.backends.cuda import Cuda
from edgecnn_runtime.bundle import add_artifact, open_bundle
from edgecnn_runtime.manifest import EngineArtifact

HostDriver = Any  # of the conftest.py above


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "colour.bundle"))


@pytest.fixture
def red() -> NDArray[np.uint8]:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :, 2] = 200
    return frame


def brightest(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the graph of the tests' bundle answers, in numpy: the network of the fake engines."""
    means = frames.astype(np.float32).mean(axis=(1, 2)) / 8
    powers = np.exp(means - means.max(axis=1, keepdims=True))
    answers: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return answers


class Severity(Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)


class Kind(Enum):
    FLOAT, UINT8, BF16 = range(3)


class Mode(Enum):
    INPUT, OUTPUT = range(2)


class FakeTensorrt:
    """TensorRT as the runtime uses it, on a `HostDriver`. Its engines are a few words of JSON.

    Attributes:
        contexts, enqueues: how often one was made; how often the network was queued.
        refuses: what the next enqueues say instead of running.
        kernels: what TensorRT-RTX has compiled, batch by batch.
    """

    def __init__(self, driver: HostDriver, version: str = "10.3.0", *, rtx: bool = False) -> None:
        self.driver = driver
        self.contexts = self.enqueues = self.loaded = 0
        self.refuses = ""
        self.kernels: set[int] = set()
        self.api = SimpleNamespace(
            __version__=version,
            ILogger=FakeLogger,
            TensorIOMode=Mode,
            Runtime=lambda logger: FakeRuntime(self, logger),
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="ours"),
            IProfiler=FakeProfiler,
            LayerInformationFormat=SimpleNamespace(JSON="json"),
        )
        if rtx:
            self.api.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")

    def build(self, batch: tuple[int, int, int] = (1, 1, 8), **changes: Any) -> bytes:
        """An engine for frames of 32x32."""
        shape = [batch[0] if batch[0] == batch[2] else -1, 32, 32, 3]
        words = {"shape": shape, "batch": batch, "kind": "UINT8", "scratch": 1000, **changes}
        return b"engine" + json.dumps(words).encode()


class FakeLogger:
    Severity = Severity

    def log(self, severity: Severity, message: str) -> None: ...


class FakeProfiler:
    def report_layer_time(self, layer_name: str, ms: float) -> None: ...


class FakeInspector:
    """Tells of its layers in TensorRT's words; of an engine built without detail, their names."""

    def __init__(self, words: dict[str, Any]) -> None:
        self.words = words

    def get_engine_information(self, form: str) -> str:
        assert form == "json"
        weights = self.words.get("detailed")
        layers = [self.conv(weights), self.softmax()] if weights else ["conv", "softmax"]
        return json.dumps({"Layers": layers, "Bindings": ["frames", "probabilities"]})

    def tensor(self, name: str, shape: list[int], kind: str) -> dict[str, Any]:
        where = {"Name": name, "Location": "Device", "Dimensions": shape}
        return {**where, "Format/Datatype": f"Row major linear {kind} format"}

    def conv(self, weights: str) -> dict[str, Any]:
        kind = {"Half": "FP16", "Int8": "Int8", "Float": "FP32"}[weights]
        return {
            **{"Name": "conv", "LayerType": "CaskConvolution", "ParameterType": "Convolution"},
            "Inputs": [self.tensor("frames", [1, 3, 32, 32], kind)],
            "Outputs": [self.tensor("means", [1, 3, 1, 1], kind)],
            **{"Kernel": [32, 32], "Stride": [1, 1], "OutMaps": 3, "Groups": 3},
            "Weights": {"Type": weights, "Count": 3 * 32 * 32},
            "TacticName": "sm80_xmma_fprop_implicit_gemm_indexed_nhwckrsc_nhwc",
        }

    def softmax(self) -> dict[str, Any]:
        row = [1, 3, 1, 1]
        return {
            **{"Name": "softmax", "LayerType": "CaskSoftMaxV2", "ParameterType": "SoftMax"},
            "Inputs": [self.tensor("means", row, "FP32")],
            "Outputs": [self.tensor("probabilities", row, "FP32")],
        }


class FakeRuntime:
    def __init__(self, owner: FakeTensorrt, logger: FakeLogger) -> None:
        self.owner = owner
        self.logger = logger

    def deserialize_cuda_engine(self, data: bytes) -> FakeEngine | None:
        self.owner.driver._needs_context("deserialize")
        self.logger.log(Severity.INFO, "Loaded engine size: 0 MiB")
        if not data.startswith(b"engine"):
            self.logger.log(Severity.ERROR, "Serialization assertion\nmagicTag failed.")
            self.logger.log(Severity.ERROR, "and then some more")
            return None
        self.owner.loaded += 1
        return FakeEngine(self, json.loads(data[6:]))


class FakeConfig:
    def __init__(self, owner: FakeTensorrt) -> None:
        self.owner = owner
        self.dynamic_shapes_kernel_specialization_strategy = "lazy"
        self.cache: FakeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> FakeCache:
        return FakeCache(self.owner)

    def set_runtime_cache(self, cache: FakeCache) -> bool:
        self.cache = cache
        return True


class FakeCache:
    def __init__(self, owner: FakeTensorrt) -> None:
        self.owner = owner

    def deserialize(self, data: bytes) -> bool:
        self.owner.kernels.update(json.loads(data))
        return True

    def serialize(self) -> bytes:
        return json.dumps(sorted(self.owner.kernels)).encode()


class FakeEngine:
    num_io_tensors = 2

    def __init__(self, runtime: FakeRuntime, words: dict[str, Any]) -> None:
        self.runtime = runtime
        self.words = words
        self.device_memory_size_v2 = words["scratch"]

    def get_tensor_name(self, index: int) -> str:
        return ("frames", "probabilities")[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "frames" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Kind:
        return Kind[self.words["kind"] if name == "frames" else "FLOAT"]

    def get_tensor_shape(self, name: str) -> list[int]:
        shape: list[int] = self.words["shape"]
        return shape if name == "frames" else [shape[0], 3]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert (name, profile) == ("frames", 0)
        return [(n, *self.words["shape"][1:]) for n in self.words["batch"]]

    def create_engine_inspector(self) -> FakeInspector:
        return FakeInspector(self.words)

    def create_runtime_config(self) -> FakeConfig:
        return FakeConfig(self.runtime.owner)

    def create_execution_context(self, how: Any) -> FakeContext | None:
        strategy = getattr(how, "strategy", how)
        assert strategy == "ours", "scratch memory is ours, shared by the batches of a lane"
        if hasattr(how, "strategy"):
            assert how.dynamic_shapes_kernel_specialization_strategy == "eager"
        if self.words.get("no_context"):
            self.runtime.logger.log(Severity.ERROR, "Cuda Runtime (out of memory)")
            return None
        return FakeContext(self)


class FakeContext:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.owner = engine.runtime.owner
        self.owner.contexts += 1
        self.addresses: dict[str, int] = {}
        self.scratch = 0
        self.shape: tuple[int, ...] | None = None
        self.profiler: FakeProfiler | None = None

    def set_device_memory(self, address: int, size: int) -> None:
        assert self.owner.driver.memory[address].nbytes >= size
        self.scratch = address

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, handle: int) -> bool:
        driver, owner = self.owner.driver, self.owner
        assert driver.entered
        assert self.scratch
        assert self.shape is not None
        if owner.refuses:
            self.engine.runtime.logger.log(Severity.ERROR, owner.refuses)
            return False
        owner.enqueues += 1
        owner.kernels.add(self.shape[0])
        shape, source, target = (
            self.shape,
            *(self.addresses[n] for n in ("frames", "probabilities")),
        )

        if self.profiler is not None:
            for name, ms in (("conv", 0.5 * shape[0]), ("softmax", 0.25)):
                self.profiler.report_layer_time(name, ms)

        def work() -> None:
            frames = driver.memory[source][: int(np.prod(shape))].reshape(shape)
            answers = brightest(frames).reshape(-1).view(np.uint8)
            driver.memory[target][: answers.nbytes] = answers

        driver.streams[handle].put(work)
        return True


class FakeMachine:
    """A machine with a GPU and one TensorRT. `add` puts an engine into a bundle."""

    def __init__(self, driver: HostDriver, tensorrt: FakeTensorrt, compiler: str) -> None:
        self.driver = driver
        self.tensorrt = tensorrt
        self.compiler = compiler

    def add(self, bundle: Path, data: bytes | None = None, **changes: Any) -> EngineArtifact:
        """Put an engine for this machine, or one that differs in something, into a bundle."""
        opened = open_bundle(bundle)
        graph = opened.manifest.onnx[0]
        fields = {
            "precision": graph.precision,
            "compiler": self.compiler,
            "version": self.tensorrt.api.__version__,
            "target": "sm86",
            "batch": (1, 1, 8),
            "onnx_sha256": graph.sha256,
            **changes,
        }
        if data is None:
            data = self.tensorrt.build(fields["batch"])
        name = f"engines/{fields['compiler']}-{fields['target']}-{fields['precision']}.engine"
        artifact = EngineArtifact(
            file=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), **fields
        )
        add_artifact(opened, artifact, data)
        return artifact


@pytest.fixture
def make_machine(
    monkeypatch: pytest.MonkeyPatch, make_host: Callable[..., tuple[HostDriver, Cuda]]
) -> Callable[..., FakeMachine]:
    """make_machine("tensorrt-rtx", gpu="sm89") -> a machine, on which the backends then run."""

    def make(
        compiler: str = "tensorrt", version: str = "10.3.0", *, target: str = "sm86", **host: Any
    ) -> FakeMachine:
        driver, device = make_host(**host)
        tensorrt = FakeTensorrt(driver, version, rtx=compiler == "tensorrt-rtx")

        def load(name: str) -> Any:
            if name != compiler:
                raise trt.BackendError(f"{name} is not installed: pip install it")
            return tensorrt.api

        monkeypatch.setattr(trt, "load", load)
        monkeypatch.setattr(gpu, "compute_capability", lambda: target)
        monkeypatch.setattr(gpu, "open_cuda", lambda name="auto": device)
        return FakeMachine(driver, tensorrt, compiler)

    return make


@pytest.fixture
def machine(make_machine: Callable[..., FakeMachine]) -> FakeMachine:
    return make_machine()
