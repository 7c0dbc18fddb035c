"""On a real GPU: what the tests beside this one try on the host."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda import Cuda, compute_capability, open_cuda
from edgecnn_runtime.backends.engine import EngineBackend, open_engine
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.backends.ort.bound import BoundOrtBackend
from edgecnn_runtime.bundle import open_bundle, read_golden
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError

pytestmark = pytest.mark.gpu

BINDINGS = {"cuda-bindings": "cuda", "pycuda": "pycuda"}


@pytest.fixture(params=list(BINDINGS))
def binding(request: pytest.FixtureRequest) -> str:
    if find_spec(BINDINGS[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def graph(trained_bundle: Path) -> Path:
    """A MobileNet that was trained for some seconds."""
    return trained_bundle / "model.fp32.onnx"


@pytest.fixture(scope="module")
def inputs(trained_bundle: Path) -> NDArray[np.uint8]:
    """Its golden frames as it takes them."""
    return read_golden(open_bundle(trained_bundle)).inputs


@pytest.fixture(scope="module")
def expected(graph: Path, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the CPU answers."""
    answers: NDArray[np.float32] = open_ort(graph, "onnxruntime").infer(inputs)
    return answers


def cuda_provider(graph: Path, **options: Any) -> Any:
    try:
        return open_ort(graph, "onnxruntime-cuda", precision="fp32", **options)
    except BackendError as error:
        pytest.skip(str(error))


def free_bytes(cuda: Cuda) -> int:
    with cuda:
        return cuda._driver.free_and_total()[0]


@pytest.mark.parametrize("graphs", [True, False])
def test_onnx_runtime_on_our_memory_answers_as_plain_onnx_runtime(
    graph: Path,
    inputs: NDArray[np.uint8],
    expected: NDArray[np.float32],
    binding: str,
    graphs: bool,
) -> None:
    backend = cuda_provider(graph, cuda=binding, graphs=graphs)
    assert isinstance(backend, BoundOrtBackend)
    assert backend.has_graphs == graphs
    plain = backend.infer_all(inputs)["probabilities"]  # ONNX Runtime's own run
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    for _ in range(3):  # the second and third are replayed
        np.testing.assert_allclose(backend.infer(inputs), plain, atol=1e-5)
        for frame, row in zip(inputs, plain, strict=True):
            np.testing.assert_allclose(backend.infer(frame[None])[0], row, atol=1e-4)
    backend.close()


def test_onnx_runtime_on_our_memory_answers_in_another_thread_too(
    graph: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = cuda_provider(graph)
    backend.infer(inputs[:1])
    answers: list[NDArray[Any]] = []
    thread = threading.Thread(target=lambda: answers.append(backend.infer(inputs[1:2])))
    thread.start()
    thread.join()
    np.testing.assert_allclose(answers[0], expected[1:2], atol=1e-4)
    backend.close()


def test_no_frame_takes_memory_of_the_gpu(graph: Path, inputs: NDArray[np.uint8]) -> None:
    backend = cuda_provider(graph)
    cuda = open_cuda()
    for _ in range(10):
        backend.infer(inputs[:1])
    before = free_bytes(cuda)
    for _ in range(300):
        backend.infer(inputs[:1])
    assert free_bytes(cuda) == before
    backend.close()


def test_pytorch_and_we_are_in_one_context(binding: str) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    values = torch.arange(1 << 16, dtype=torch.int32, device="cuda")
    torch.cuda.synchronize()
    cuda = open_cuda(binding)
    with cuda:
        stream, host = cuda.stream(), cuda.pin(values.numel() * 4)
        stream.download(host.bytes, SimpleNamespace(address=values.data_ptr()))
        stream.synchronize()
    assert np.array_equal(host.view((1 << 16,), np.int32), np.arange(1 << 16))
    for owned in (stream, host):
        owned.close()
    assert int(values.sum()) == int(np.arange(1 << 16).sum()), "PyTorch goes on"


def test_a_graph_of_a_copy_takes_what_the_copy_takes_or_less() -> None:
    cuda = open_cuda("cuda-bindings")
    with cuda:
        memory, host, stream = cuda.allocate(1 << 16), cuda.pin(1 << 16), cuda.stream()

        def copies() -> None:
            for _ in range(20):
                stream.upload(memory, host.bytes)

        graph = stream.capture(copies)
        times = stream.times_ms(lambda: stream.launch(graph), 50)
        assert 0 < min(times) < 50
        graph.close()


def compile_local(bundle: Path, compiler: str) -> None:
    """Compile for this GPU, or skip with what the compiler says."""
    verb = [sys.executable, "-m", "edgecnn_runtime", "compile", str(bundle), "--target", "local"]
    done = subprocess.run(
        [*verb, "--compiler", compiler], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(done.stderr.strip().splitlines()[-1])


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def compiled(request: pytest.FixtureRequest, trained_bundle: Path, tmp_path: Path) -> Path:
    """A bundle with an engine for this GPU."""
    copy = Path(shutil.copytree(trained_bundle, tmp_path / "copy.bundle"))
    compile_local(copy, request.param)
    return copy


@pytest.fixture
def engine(compiled: Path, binding: str) -> Iterator[EngineBackend]:
    bundle = open_bundle(compiled)
    backend = open_engine(bundle, bundle.manifest.engines[0], cuda=binding)
    yield backend
    backend.close()


def test_an_engine_answers_as_onnx_runtime_on_the_cpu(
    engine: EngineBackend, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    for _ in range(3):
        for frame, row in zip(inputs, expected, strict=True):
            np.testing.assert_allclose(engine.infer(frame[None])[0], row, atol=5e-3)
        np.testing.assert_allclose(engine.infer(inputs), expected, atol=5e-3)
    waiting = [engine.submit(frame[None]) for frame in inputs]
    for pending, row in zip(waiting, expected, strict=True):
        np.testing.assert_allclose(pending.result()[0], row, atol=5e-3)


def test_a_replayed_graph_answers_as_the_calls_did(
    compiled: Path, inputs: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(compiled)
    artifact = bundle.manifest.engines[0]
    replayed = open_engine(bundle, artifact, cuda="cuda-bindings")
    direct = open_engine(bundle, artifact, cuda="cuda-bindings")
    monkeypatch.setattr(direct._shared.cuda, "has_graphs", False)
    for frame in inputs:
        assert np.array_equal(replayed.infer(frame[None]), direct.infer(frame[None]))
    assert not direct.is_captured
    replayed.close()
    direct.close()


@pytest.mark.parametrize("compiler", ["tensorrt", "tensorrt-rtx"])
def test_the_inspector_finds_no_convolution_of_an_fp16_engine_in_fp32(
    trained_run: Path, tmp_path: Path, inputs: NDArray[np.uint8], compiler: str
) -> None:
    from edgecnn_export.export import export
    from edgecnn_export.sources import Options, open_source

    path = tmp_path / "half.bundle"
    export(open_source(str(trained_run), Options()), path, precisions=("fp16",))
    compile_local(path, compiler)
    bundle = open_bundle(path)
    engine = open_engine(bundle, bundle.manifest.engines[0])
    found = engine.time_layers(list(inputs[:2]), 5)
    engine.close()
    told = {layer.name: layer.precision for layer in found.layers if layer.macs}
    if not any(told.values()):
        pytest.skip(f"{compiler} tells no precision of {len(found.layers)} layers")
    kept = bundle.manifest.onnx[0].kept
    assert [n for n, p in told.items() if p == "fp32" and not any(k in n for k in kept)] == []


def test_two_contexts_on_one_engine_run_at_once(
    engine: EngineBackend, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    forks = [engine.fork(), engine.fork()]
    wrong: list[int] = []

    def run(which: int) -> None:
        for _ in range(20):
            for frame, row in zip(inputs, expected, strict=True):
                if not np.allclose(forks[which].infer(frame[None])[0], row, atol=5e-3):
                    wrong.append(which)

    threads = [threading.Thread(target=run, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for fork in forks:
        fork.close()


def test_no_frame_of_an_engine_takes_memory_of_the_gpu(
    engine: EngineBackend, inputs: NDArray[np.uint8]
) -> None:
    cuda = open_cuda()
    for _ in range(10):
        engine.infer(inputs[:1])
    before = free_bytes(cuda)
    for _ in range(300):
        engine.infer(inputs[:1])
    assert free_bytes(cuda) == before


def test_the_classifier_takes_the_engine_by_itself(compiled: Path) -> None:
    with Classifier.open(compiled) as classify:
        assert classify.backend.name.startswith("tensorrt")


def test_an_engine_of_tensorrt_rtx_for_another_gpu_is_one_line(
    trained_bundle: Path, tmp_path: Path, make_here: Callable[[str], Any]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX")
    copy = Path(shutil.copytree(trained_bundle, tmp_path / "copy.bundle"))
    target = "sm86" if compute_capability() != "sm86" else "sm120"
    verb = [sys.executable, "-m", "edgecnn_runtime", "compile", str(copy), "--target", target]
    subprocess.run([*verb, "--compiler", "tensorrt-rtx"], check=True, capture_output=True)
    bundle = open_bundle(copy)
    artifact = bundle.manifest.engines[0]
    with pytest.raises(BackendError, match=f"needs {target}, tensorrt-rtx"):
        open_engine(bundle, artifact)
    with pytest.raises(BackendError, match="does not load in tensorrt-rtx") as caught:
        open_engine(bundle, artifact, here=make_here(target))  # past our own check
    assert "\n" not in str(caught.value)


@pytest.fixture
def make_here() -> Callable[[str], Any]:
    from edgecnn_runtime.backends import trt
    from edgecnn_runtime.backends.identity import Here

    return lambda target: Here(target, trt.version)
