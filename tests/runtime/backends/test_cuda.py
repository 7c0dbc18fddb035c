"""One set of tests for every binding: on a GPU for the real ones, on the host for a fake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends.cuda import Cuda, CudaError, open_cuda
from edgecnn_runtime.errors import BackendError, InputError

SIZE = 1 << 20
PACKAGES = {"cuda-bindings": "cuda", "pycuda": "pycuda"}


@pytest.fixture(
    params=[
        "host",
        "host without graphs",
        pytest.param("cuda-bindings", marks=pytest.mark.gpu),
        pytest.param("pycuda", marks=pytest.mark.gpu),
    ]
)
def cuda(request: pytest.FixtureRequest, make_host: Callable[..., Any]) -> Iterator[Cuda]:
    if request.param.startswith("host"):
        yield make_host(has_graphs=request.param == "host")[1]
        return
    if find_spec(PACKAGES[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    yield open_cuda(request.param)


@pytest.fixture
def grain(photographs: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Bytes of a photograph."""
    return np.resize(photographs["coffee"].reshape(-1), SIZE)


def test_bytes_come_back_from_the_gpu_as_they_went(cuda: Cuda, grain: NDArray[np.uint8]) -> None:
    with cuda:
        memory, source, target = cuda.allocate(SIZE), cuda.pin(SIZE), cuda.pin(SIZE)
        stream = cuda.stream()
        source.bytes[:] = grain
        stream.upload(memory, source.bytes)
        stream.download(target.bytes, memory)
        stream.synchronize()
        assert np.array_equal(target.bytes, grain)
        part = np.frombuffer(target.bytes, np.float32).reshape(2, -1, 4)
        assert target.view(part.shape, np.float32).tobytes() == part.tobytes()
    for owned in (memory, source, target, stream):
        owned.close()
        owned.close()


def test_what_is_queued_on_a_stream_runs_in_that_order(cuda: Cuda) -> None:
    with cuda:
        memory, stream, target = cuda.allocate(SIZE), cuda.stream(), cuda.pin(SIZE)
        sources = [cuda.pin(SIZE) for _ in range(8)]
        for value, source in enumerate(sources, start=1):
            source.bytes[:] = value
            stream.upload(memory, source.bytes)
        stream.download(target.bytes, memory)
        stream.synchronize()
        assert set(target.bytes) == {8}


def test_a_stream_waits_for_a_mark_in_another(cuda: Cuda, grain: NDArray[np.uint8]) -> None:
    with cuda:
        memory, source, target = cuda.allocate(SIZE), cuda.pin(SIZE), cuda.pin(SIZE)
        first, second, uploaded = cuda.stream(), cuda.stream(), cuda.event()
        source.bytes[:] = grain
        first.upload(memory, source.bytes)
        first.record(uploaded)
        second.wait_for(uploaded)
        second.download(target.bytes, memory)
        second.synchronize()
        assert np.array_equal(target.bytes, grain)
        uploaded.close()


def test_marks_measure_the_time_between_them(cuda: Cuda) -> None:
    with cuda:
        memory, source, stream = cuda.allocate(SIZE), cuda.pin(SIZE), cuda.stream()
        marks = [cuda.event() for _ in range(3)]
        stream.record(marks[0])
        stream.upload(memory, source.bytes)
        stream.record(marks[1])
        for _ in range(50):
            stream.upload(memory, source.bytes)
        stream.record(marks[2])
        marks[2].synchronize()
        one, fifty = marks[1].ms_since(marks[0]), marks[2].ms_since(marks[1])
        assert 0 < one < fifty
        assert marks[2].ms_since(marks[0]) == pytest.approx(one + fifty, rel=0.05)


def test_a_graph_does_what_the_calls_did_with_what_the_memory_holds_then(
    cuda: Cuda, grain: NDArray[np.uint8]
) -> None:
    if not cuda.has_graphs:
        pytest.skip(f"{cuda.name} has no graphs")
    with cuda:
        memory, source, target = cuda.allocate(SIZE), cuda.pin(SIZE), cuda.pin(SIZE)
        stream = cuda.stream()

        def enqueue() -> None:
            stream.upload(memory, source.bytes)
            stream.download(target.bytes, memory)

        source.bytes[:] = 1
        graph = stream.capture(enqueue)
        stream.synchronize()
        assert not target.bytes.any(), "capturing runs nothing"
        for shift in range(3):
            source.bytes[:] = np.roll(grain, shift)
            stream.launch(graph)
            stream.synchronize()
            assert np.array_equal(target.bytes, np.roll(grain, shift))
        graph.close()


def test_a_capture_that_fails_leaves_the_stream_as_it_was(
    cuda: Cuda, grain: NDArray[np.uint8]
) -> None:
    if not cuda.has_graphs:
        pytest.skip(f"{cuda.name} has no graphs")
    with cuda:
        memory, source, target = cuda.allocate(SIZE), cuda.pin(SIZE), cuda.pin(SIZE)
        stream = cuda.stream()

        def enqueue() -> None:
            stream.upload(memory, source.bytes)
            raise BackendError("the engine refuses")

        with pytest.raises(BackendError, match="the engine refuses"):
            stream.capture(enqueue)
        source.bytes[:] = grain
        stream.upload(memory, source.bytes)
        stream.download(target.bytes, memory)
        stream.synchronize()
        assert np.array_equal(target.bytes, grain)


def test_a_binding_without_graphs_says_which_has_them(cuda: Cuda) -> None:
    if cuda.has_graphs:
        pytest.skip(f"{cuda.name} has graphs")
    with cuda, pytest.raises(BackendError, match="install cuda-bindings"):
        cuda.stream().capture(lambda: None)


def test_out_of_memory_says_how_much_was_asked_for(cuda: Cuda) -> None:
    with cuda, pytest.raises(BackendError) as caught:
        cuda.allocate(1 << 50)
    line = str(caught.value)
    assert line.startswith("the GPU is out of memory: 1125899906.8 MB asked for, ")
    assert "CUDA_ERROR_OUT_OF_MEMORY" in line
    assert "\n" not in line


def test_any_error_is_one_line_with_its_call(cuda: Cuda) -> None:
    with cuda:
        stream, never = cuda.stream(), cuda.event()
        reached = cuda.event()
        stream.record(reached)
        stream.synchronize()
        with pytest.raises(CudaError, match="CUDA's cuEventElapsedTime failed: ") as caught:
            never.ms_since(reached)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BackendError)


def test_another_thread_may_use_and_free_what_was_made_here(
    cuda: Cuda, grain: NDArray[np.uint8]
) -> None:
    with cuda:
        memory, source, target = cuda.allocate(SIZE), cuda.pin(SIZE), cuda.pin(SIZE)
        stream = cuda.stream()
    source.bytes[:] = grain
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with cuda:
                stream.upload(memory, source.bytes)
                stream.download(target.bytes, memory)
                stream.synchronize()
            assert np.array_equal(target.bytes, grain)
            for owned in (memory, source, target, stream):
                owned.close()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed, failed


def test_an_unknown_binding_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'pycuda'"):
        open_cuda("pycud")


def test_without_a_driver_or_a_binding_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecnn_runtime.backends.cuda import opening

    def absent() -> Any:
        raise ModuleNotFoundError("No module named 'cuda'")

    monkeypatch.setattr(opening, "DRIVERS", {"cuda-bindings": absent, "pycuda": absent})
    with pytest.raises(BackendError, match="no CUDA binding loads") as caught:
        open_cuda()
    assert "pip install cuda-bindings" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_auto_takes_the_other_binding_where_the_first_does_not_load(
    monkeypatch: pytest.MonkeyPatch, host: Any
) -> None:
    from edgecnn_runtime.backends.cuda import opening

    def broken() -> Any:
        raise ImportError("undefined symbol: cuMemAlloc_v2")

    monkeypatch.setattr(opening, "DRIVERS", {"cuda-bindings": broken, "pycuda": lambda: host})
    assert open_cuda().name == "host"
    with pytest.raises(BackendError, match="undefined symbol"):
        open_cuda("cuda-bindings")
