"""The engine backend's logic, on a GPU and a TensorRT that compute on the host."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import trt
from edgecnn_runtime.backends.engine import EngineBackend, open_engine, split
from edgecnn_runtime.backends.lane import SIZES
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency.layers import LayerTimes
from edgecnn_runtime.preprocess import preprocess

Machine = Any


@pytest.fixture
def inputs(copy: Path, photographs: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Twenty crops of photographs as the graph takes them."""
    spec = open_bundle(copy).classifier().input
    frames = list(photographs.values())
    return np.stack([preprocess(np.roll(frames[i % 4], 9 * i, 1), spec) for i in range(20)])


@pytest.fixture
def expected(copy: Path, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What ONNX Runtime answers to them."""
    answers: NDArray[np.float32] = open_ort(copy / "model.fp32.onnx", "onnxruntime").infer(inputs)
    return answers


def opened(machine: Machine, bundle: Path, **changes: Any) -> EngineBackend:
    return open_engine(open_bundle(bundle), machine.add(bundle, **changes))


@pytest.mark.parametrize("has_graphs", [True, False])
def test_an_engine_answers_frame_after_frame_as_onnx_runtime_does(
    make_machine: Callable[..., Machine],
    copy: Path,
    inputs: NDArray[np.uint8],
    expected: NDArray[np.float32],
    has_graphs: bool,
) -> None:
    machine = make_machine(has_graphs=has_graphs)
    backend = opened(machine, copy)
    for frame, row in zip(inputs, expected, strict=True):
        np.testing.assert_allclose(backend.infer(frame[None])[0], row, atol=1e-6)
    assert machine.driver.launches == (19 if has_graphs else 0)
    assert machine.tensorrt.enqueues == (2 if has_graphs else 20)  # one more is captured
    backend.close()
    assert machine.driver.entered == 0


def test_the_gpus_time_is_that_of_copies_and_network(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8]
) -> None:
    backend = opened(machine, copy)
    times = backend.gpu_times_ms(inputs[:2], 5)
    assert len(times) == 5
    assert all(time > 0 for time in times)
    assert backend.is_captured
    assert machine.driver.launches == 5
    backend.close()
    assert machine.driver.entered == 0


def test_an_answer_stays_what_it_was_when_the_next_frame_comes(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = opened(machine, copy)
    answers = [backend.infer(frame[None])[0] for frame in inputs[:5]]
    np.testing.assert_allclose(answers, expected[:5], atol=1e-6)


def test_no_frame_allocates_on_the_gpu_and_closing_frees_all(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8]
) -> None:
    backend = opened(machine, copy)
    driver, tensorrt = machine.driver, machine.tensorrt
    for size in (1, 8):
        backend.infer(inputs[:size])
    after_the_first = driver.allocations, tensorrt.contexts, tensorrt.enqueues
    for _ in range(50):
        backend.infer(inputs[:1])
        backend.infer(inputs[:8])
    assert (driver.allocations, tensorrt.contexts, tensorrt.enqueues) == after_the_first
    backend.close()
    backend.close()
    assert (driver.memory, driver.streams, driver.pinned, driver.entered) == ({}, {}, 0, 0)


def test_each_batch_size_has_a_graph_and_old_ones_make_room(
    make_machine: Callable[..., Machine],
    copy: Path,
    inputs: NDArray[np.uint8],
    expected: NDArray[np.float32],
) -> None:
    machine = make_machine()
    backend = opened(machine, copy, batch=(1, 4, 16))
    sizes = [*range(1, SIZES + 4), *range(1, SIZES + 4)]
    for size in sizes:
        np.testing.assert_allclose(backend.infer(inputs[:size]), expected[:size], atol=1e-6)
    assert len(backend._lanes[0]._shapes) == SIZES
    assert machine.tensorrt.contexts == len(sizes), "each came back after it had made room"
    backend.close()
    assert machine.driver.memory == {}


def test_two_batches_are_on_their_way_and_answers_keep_their_order(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = opened(machine, copy)
    waiting = [backend.submit(frame[None]) for frame in inputs]
    assert len(backend._on_their_way) == backend.in_flight == 2
    for pending, row in zip(waiting, expected, strict=True):
        np.testing.assert_allclose(pending.result()[0], row, atol=1e-6)
        np.testing.assert_allclose(pending.result()[0], row, atol=1e-6)
    assert machine.tensorrt.contexts == 2, "a lane each"


def test_a_lane_is_not_overwritten_before_its_answer_was_taken(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = opened(machine, copy)
    first = backend.submit(inputs[:1])
    np.testing.assert_allclose(backend.infer(inputs[1:2]), expected[1:2], atol=1e-6)
    last = backend.submit(inputs[2:3])
    np.testing.assert_allclose(first.result(), expected[:1], atol=1e-6)
    np.testing.assert_allclose(last.result(), expected[2:3], atol=1e-6)


@pytest.mark.parametrize(
    ("count", "batch", "sizes"),
    [
        (20, (1, 8), [8, 8, 4]),
        (16, (8, 8), [8, 8]),
        (10, (4, 8), [5, 5]),
        (9, (4, 4), None),
        (3, (4, 8), None),
        (0, (1, 8), None),
        (17, (6, 8), None),
        (19, (6, 8), [7, 6, 6]),
    ],
)
def test_more_frames_than_the_engine_takes_are_split_where_that_can_be(
    count: int, batch: tuple[int, int], sizes: list[int] | None
) -> None:
    if sizes is not None:
        assert split("x.engine", count, *batch) == sizes
        assert sum(sizes) == count
        return
    with pytest.raises(BackendError, match=r"x\.engine takes .* at once, got") as caught:
        split("x.engine", count, *batch)
    assert "compile it with --batch" in str(caught.value)


def test_a_large_batch_answers_as_its_frames_do(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = opened(machine, copy)
    np.testing.assert_allclose(backend.infer(inputs), expected, atol=1e-6)
    named = backend.infer_all(inputs)
    np.testing.assert_allclose(named["probabilities"], expected, atol=1e-6)


def test_a_batch_that_cannot_be_split_is_one_line(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8]
) -> None:
    backend = opened(machine, copy, batch=(1, 1, 4))
    with pytest.raises(BackendError, match="takes 1 to 4 frames at once, got 5"):
        backend.submit(inputs[:5])


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 32, 32, 1), np.uint8),
        np.zeros((1, 1, 1, 3), np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((1, 32, 32, 3), np.float32),
    ],
)
def test_frames_of_another_kind_are_refused_before_they_are_copied(
    machine: Machine, copy: Path, frames: NDArray[Any]
) -> None:
    with pytest.raises(BackendError, match=r"takes uint8 \(N, 32, 32, 3\), got"):
        opened(machine, copy).infer(frames)


def test_several_cameras_share_an_engine_and_nothing_else(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    first = opened(machine, copy)
    forks = [first.fork() for _ in range(3)]
    assert machine.tensorrt.loaded == 1
    wrong: list[int] = []

    def run(which: int) -> None:
        for _ in range(20):
            for frame, row in zip(inputs, expected, strict=True):
                if not np.allclose(forks[which].infer(frame[None])[0], row, atol=1e-6):
                    wrong.append(which)

    threads = [threading.Thread(target=run, args=(which,)) for which in range(3)]
    first.close()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    for fork in forks:
        fork.close()
    assert machine.driver.memory == {}
    with pytest.raises(BackendError, match="was closed"):
        first.infer(inputs[:1])


def test_tensorrt_rtx_finds_the_kernels_of_the_last_start(
    make_machine: Callable[..., Machine], copy: Path, inputs: NDArray[np.uint8]
) -> None:
    machine = make_machine("tensorrt-rtx", "1.7.1")
    backend = opened(machine, copy)
    backend.infer(inputs[:1])
    backend.infer(inputs[:3])
    backend.close()
    (kept,) = (copy / "engines" / "kernels").iterdir()
    assert json.loads(kept.read_bytes()) == [1, 3]

    again = make_machine("tensorrt-rtx", "1.7.1")
    backend = open_engine(open_bundle(copy), open_bundle(copy).manifest.engines[0])
    assert again.tensorrt.kernels == {1, 3}
    backend.close()


def test_an_engine_that_refuses_to_run_says_why_in_one_line(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    backend = opened(machine, copy)
    machine.tensorrt.refuses = "Error Code 1:\nCask (Cask convolution execution)"
    with pytest.raises(
        BackendError, match=r"does not run in tensorrt 10\.3\.0: Error Code 1: Cask"
    ):
        backend.infer(inputs[:1])
    machine.tensorrt.refuses = ""
    np.testing.assert_allclose(backend.infer(inputs[:1]), expected[:1], atol=1e-6)


def test_a_network_that_cannot_be_captured_runs_all_the_same(
    machine: Machine,
    copy: Path,
    inputs: NDArray[np.uint8],
    expected: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*arguments: Any) -> None:
        raise BackendError("operation not permitted when stream is capturing")

    monkeypatch.setattr(machine.driver, "capture", fails)
    backend = opened(machine, copy)
    for frame, row in zip(inputs, expected, strict=True):
        np.testing.assert_allclose(backend.infer(frame[None])[0], row, atol=1e-6)
    assert machine.tensorrt.enqueues == 20
    assert not backend.is_captured


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"scratch": 1 << 40}, "the GPU is out of memory: 1099511.6 MB asked for"),
        ({"no_context": True}, "gets no context in tensorrt 10.3.0: Cuda Runtime (out of memory)"),
        ({"kind": "FLOAT"}, "takes float32 (N, (32, 32, 3)); expected one tensor of uint8"),
        ({"kind": "BF16"}, "'frames' is BF16"),
    ],
)
def test_an_engine_that_cannot_be_run_leaves_nothing_on_the_gpu(
    machine: Machine, copy: Path, inputs: NDArray[np.uint8], how: dict[str, Any], says: str
) -> None:
    data = machine.tensorrt.build(**how)
    with pytest.raises(BackendError) as caught:
        opened(machine, copy, data=data).infer(inputs[:1])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    if "no_context" not in how:
        assert (machine.driver.memory, machine.driver.pinned) == ({}, 0)
    assert machine.driver.entered == 0


def test_what_tensorrt_says_of_a_strangers_file_is_one_line(machine: Machine, copy: Path) -> None:
    with pytest.raises(BackendError) as caught:
        opened(machine, copy, data=b"MZ of somebody else")
    line = str(caught.value)
    assert line.endswith(
        "does not load in tensorrt 10.3.0: Serialization assertion magicTag failed."
    )


class TestTheRealLibrary:
    """TensorRT-RTX itself, which reads an engine's header without a GPU."""

    @pytest.fixture
    def engine(self) -> bytes:
        pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
        return b"nonsense" * 100

    def test_a_strangers_file_is_refused_with_the_librarys_reason(self, engine: bytes) -> None:
        with pytest.raises(BackendError, match="does not load in tensorrt-rtx 1") as caught:
            trt.Engine("tensorrt-rtx", engine, "x.engine")
        line = str(caught.value)
        assert "magicTag" in line
        assert "(MALFORMED_ENGINE)" in line
        assert "\n" not in line

    def test_an_empty_file_is_refused_too(self, engine: bytes) -> None:
        with pytest.raises(BackendError, match=r"x\.engine does not load"):
            trt.Engine("tensorrt-rtx", b"", "x.engine")

    def test_every_name_that_is_used_is_in_the_library(self, engine: bytes) -> None:
        api = trt.load("tensorrt-rtx")
        assert trt.version("tensorrt-rtx") == api.__version__
        for owner, names in NAMES.items():
            for name in names:
                assert hasattr(getattr(api, owner), name), f"{owner}.{name}"


NAMES = {
    "Runtime": ("deserialize_cuda_engine", "DLA_core", "engine_host_code_allowed"),
    "ICudaEngine": (
        *("num_io_tensors", "get_tensor_name", "get_tensor_mode", "get_tensor_dtype"),
        *("get_tensor_shape", "get_tensor_profile_shape", "device_memory_size_v2"),
        *("create_execution_context", "create_runtime_config"),
    ),
    "IExecutionContext": (
        *("set_device_memory", "set_input_shape", "set_tensor_address", "execute_async_v3"),
        "is_stream_capturable",
    ),
    "IRuntimeConfig": (
        *("set_execution_context_allocation_strategy", "create_runtime_cache"),
        *("dynamic_shapes_kernel_specialization_strategy", "set_runtime_cache"),
    ),
    "IRuntimeCache": ("serialize", "deserialize"),
    "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
    "OnnxParserRefitter": ("refit_from_file",),
    "Refitter": ("refit_cuda_engine",),
    "TensorIOMode": ("INPUT",),
}


@pytest.mark.parametrize(
    ("detailed", "layers"),
    [
        ("Half", [("Convolution", "fp16"), ("SoftMax", "fp32")]),
        ("Int8", [("Convolution", "int8"), ("SoftMax", "fp32")]),
        ("", [("", ""), ("", "")]),
    ],
)
def test_layers_are_timed_by_tensorrts_profiler_beside_the_captured_graphs(
    machine: Machine,
    copy: Path,
    inputs: NDArray[np.uint8],
    expected: NDArray[np.float32],
    detailed: str,
    layers: list[tuple[str, str]],
) -> None:
    engine = machine.tensorrt.build(detailed=detailed)
    backend = opened(machine, copy, data=engine)
    assert isinstance(backend, LayerTimes)
    backend.infer(inputs[:1])
    found = backend.time_layers(list(inputs[:3]), 7)
    assert [layer.name for layer in found.layers] == ["conv", "softmax"]
    assert [(layer.kind, layer.precision) for layer in found.layers] == layers
    assert found.precision == "fp32", "as the manifest has it"
    assert found.times_ms == [[0.5, 0.25]] * 7
    assert len(found.runs_ms) == 7
    assert np.allclose(backend.infer(inputs[:1]), expected[:1], atol=1e-5)
    assert backend.is_captured
    backend.close()
    assert not machine.driver.memory
