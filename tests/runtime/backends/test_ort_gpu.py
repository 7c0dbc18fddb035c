"""ONNX Runtime's GPU providers, as far as that goes without one: what is asked for and refused."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import cuda as gpu
from edgecnn_runtime.backends.ort import open_ort, opening, providers
from edgecnn_runtime.backends.ort.bound import SIZES, BoundOrtBackend, can_bind
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.errors import BackendError, BundleError, InputError
from edgecnn_runtime.preprocess import preprocess

GRAPH = "model.fp32.onnx"


@pytest.fixture
def inputs(bundle: Path, photographs: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    spec = open_bundle(bundle).classifier().input
    frames = list(photographs.values())
    return np.stack([preprocess(np.roll(frames[i % 4], 9 * i, 1), spec) for i in range(20)])


@pytest.fixture
def expected(bundle: Path, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    answers: NDArray[np.float32] = open_ort(bundle / GRAPH, "onnxruntime").infer(inputs)
    return answers


@pytest.fixture
def make_bound(bundle: Path, make_host: Callable[..., Any]) -> Callable[..., Any]:
    """A session on the CPU, bound to memory that a GPU would have."""

    def make(*, graphs: bool = True) -> tuple[Any, BoundOrtBackend]:
        driver, cuda = make_host(at_once=True)
        session = ort.InferenceSession(bundle / GRAPH, providers=["CPUExecutionProvider"])
        assert can_bind(session)
        with cuda:
            stream = cuda.stream()
        backend = BoundOrtBackend(
            *(session, "onnxruntime-cuda", cuda, stream, ort.RunOptions),
            graphs=graphs,
            device="cpu",
        )
        return driver, backend

    return make


@pytest.mark.parametrize("graphs", [True, False])
def test_a_bound_session_answers_as_a_plain_one(
    make_bound: Callable[..., Any],
    inputs: NDArray[np.uint8],
    expected: NDArray[np.float32],
    graphs: bool,
) -> None:
    _, backend = make_bound(graphs=graphs)
    kept = [backend.infer(frame[None])[0] for frame in inputs]
    np.testing.assert_allclose(kept, expected, atol=1e-6)
    np.testing.assert_allclose(backend.infer(inputs), expected, atol=1e-6)
    named = backend.infer_all(inputs)
    np.testing.assert_allclose(named["probabilities"], expected, atol=1e-6)
    assert len(backend.gpu_times_ms(inputs[:2], 3)) == 3


def test_a_bound_session_allocates_once_for_each_batch_and_frees_all(
    make_bound: Callable[..., Any], inputs: NDArray[np.uint8]
) -> None:
    driver, backend = make_bound()
    for _ in range(30):
        backend.infer(inputs[:1])
        backend.infer(inputs[:4])
    assert driver.allocations == 8, "two sides of input and output, for two batch sizes"
    backend.close()
    backend.close()
    assert (driver.memory, driver.pinned, driver.streams, driver.entered) == ({}, 0, {}, 0)


def test_old_batch_sizes_make_room(
    make_bound: Callable[..., Any], inputs: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    driver, backend = make_bound()
    for size in (*range(1, SIZES + 3), 1):
        np.testing.assert_allclose(backend.infer(inputs[:size]), expected[:size], atol=1e-6)
    assert len(driver.memory) == 2 * SIZES
    graph_ids = {
        int(b.options.get_run_config_entry("gpu_graph_id")) for b in backend._batches.values()
    }
    assert graph_ids == set(range(4, SIZES + 4)), "a captured graph's number is never used again"


def test_a_filters_graph_cannot_be_bound(filter_bundle: Path) -> None:
    session = ort.InferenceSession(filter_bundle / GRAPH, providers=["CPUExecutionProvider"])
    assert not can_bind(session)


@pytest.mark.parametrize("name", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_without_a_gpu_a_provider_is_not_even_tried(
    bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [p.ep for p in providers.PROVIDERS.values()]
    monkeypatch.setattr(ort, "get_available_providers", lambda: everything)
    monkeypatch.setattr(gpu, "compute_capability", lambda: None)
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: pytest.fail("it was tried"))
    with pytest.raises(BackendError, match=f"backend '{name}' needs an NVIDIA GPU and its driver"):
        open_ort(bundle / GRAPH, name)


class Sessions:
    """ONNX Runtime that has all providers and a GPU, and computes on the CPU.

    Attributes:
        asked: the providers with their settings, of each session.
        starts: which of them starts.
        refuses: an error, by a setting that it is raised for.
    """

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, dict[str, str]]]] = []
        self.starts: set[str] = {p.ep for p in providers.PROVIDERS.values()}
        self.refuses: dict[str, Exception] = {}
        self.real = ort.InferenceSession

    def __call__(self, path: str, options: Any, providers: Any, enable_fallback: int) -> Any:
        assert enable_fallback == 0
        asked = [p if isinstance(p, tuple) else (p, {}) for p in providers or []]
        self.asked.append(asked)
        for setting, error in self.refuses.items():
            if any(setting in settings for _, settings in asked):
                raise error
        session = self.real(path, providers=["CPUExecutionProvider"])
        first = asked[0][0] if asked else "NvTensorRTRTXExecutionProvider"
        names = [first] if first in self.starts else ["CPUExecutionProvider"]
        session.get_providers = lambda: names
        return session


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, make_host: Callable[..., Any]) -> Sessions:
    found = Sessions()
    cuda = make_host(at_once=True)[1]
    monkeypatch.setattr(ort, "InferenceSession", found)
    monkeypatch.setattr(providers, "_missing_library", lambda _: "")
    monkeypatch.setattr(ort, "get_available_providers", lambda: sorted(found.starts))
    monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(gpu, "compute_capability", lambda: "sm86")
    monkeypatch.setattr(gpu, "open_cuda", lambda name: cuda)
    return found


def test_cuda_gets_our_stream_a_graph_and_the_precision_of_the_workstation(
    bundle: Path, sessions: Sessions
) -> None:
    backend = open_ort(bundle / GRAPH, "onnxruntime-cuda")
    assert isinstance(backend, BoundOrtBackend)
    assert backend.has_graphs
    ((ep, settings),) = sessions.asked[0]
    assert ep == "CUDAExecutionProvider"
    assert settings["user_compute_stream"] == str(backend._stream.handle)
    assert (settings["enable_cuda_graph"], settings["use_tf32"]) == ("1", "0")
    backend.close()


def test_a_network_with_a_node_on_the_cpu_runs_without_a_graph(
    bundle: Path, sessions: Sessions
) -> None:
    words = "This session cannot use the graph capture feature as requested by the user"
    sessions.refuses = {"enable_cuda_graph": RuntimeError(words)}
    backend = open_ort(bundle / GRAPH, "onnxruntime-cuda")
    assert isinstance(backend, BoundOrtBackend)
    assert not backend.has_graphs
    assert "enable_cuda_graph" not in sessions.asked[-1][0][1]
    backend.close()


def test_a_graph_can_be_left_out(bundle: Path, sessions: Sessions) -> None:
    backend = open_ort(bundle / GRAPH, "onnxruntime-cuda", graphs=False)
    assert isinstance(backend, BoundOrtBackend)
    assert not backend.has_graphs
    assert len(sessions.asked) == 1
    backend.close()


@pytest.mark.parametrize(
    ("name", "says"),
    [("tensorrt", "'tensorrt' runs engines, and model"), ("onnxruntime-cud", "did you mean")],
)
def test_a_name_that_runs_no_graph_is_refused(bundle: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_ort(bundle / GRAPH, name)


def test_without_a_cuda_binding_onnx_runtime_copies_itself(
    bundle: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> Any:
        raise BackendError("no CUDA binding loads")

    monkeypatch.setattr(gpu, "open_cuda", absent)
    backend = open_ort(bundle / GRAPH, "onnxruntime-cuda")
    assert backend.name == "onnxruntime-cuda"
    assert not isinstance(backend, BoundOrtBackend)


def test_a_filter_on_the_gpu_is_not_bound(filter_bundle: Path, sessions: Sessions) -> None:
    backend = open_ort(filter_bundle / GRAPH, "onnxruntime-cuda")
    assert not isinstance(backend, BoundOrtBackend)
    assert "user_compute_stream" not in sessions.asked[-1][0][1]


@pytest.mark.parametrize("name", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_is_not_the_sessions_first_is_an_error_that_names_what_is_missing(
    bundle: Path, sessions: Sessions, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ep = providers.PROVIDERS[name].ep
    monkeypatch.setattr(ort, "get_available_providers", lambda: [ep])
    sessions.starts = set()
    said = "libcublasLt.so.13: cannot open shared object file"
    monkeypatch.setattr(providers, "_missing_library", lambda _: said)
    with pytest.raises(BackendError, match=f"{ep} does not start on this machine: lib") as caught:
        open_ort(bundle / GRAPH, name)
    assert said in str(caught.value)
    assert "install: " in str(caught.value)


def test_auto_runs_on_the_cpu_where_cuda_does_not_start_and_says_so_once(
    bundle: Path, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    sessions.refuses = {"device_id": RuntimeError("CUDA failure 2: out of memory ;\nGPU=0")}
    backend = open_ort(bundle / GRAPH)
    assert backend.name == "onnxruntime"
    (line,) = [record.getMessage() for record in caplog.records]
    assert "CUDA failure 2: out of memory" in line
    assert line.endswith("; running on the CPU")


def test_a_broken_graph_is_the_bundles_fault_on_a_gpu_too(
    tmp_path: Path, sessions: Sessions
) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="cannot be loaded"):
        open_ort(tmp_path / "x.onnx", "onnxruntime-cuda")


def test_tensorrt_keeps_its_engines_in_the_bundle_and_says_that_the_first_answer_takes_long(
    bundle: Path, sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def folder(name: str) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    backend = open_ort(bundle / GRAPH, "onnxruntime-tensorrt", precision="fp16", caches=folder)
    assert backend.name == "onnxruntime-tensorrt"
    (first, settings), (second, _) = sessions.asked[0]
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    (kept,) = tmp_path.iterdir()
    assert kept.name == f"ort-tensorrt-{ort.__version__}"
    assert settings["trt_engine_cache_path"] == settings["trt_timing_cache_path"] == str(kept)
    assert settings["trt_fp16_enable"] == settings["trt_engine_cache_enable"] == "1"
    assert "may take minutes" in caplog.text
    caplog.clear()
    (kept / "x.engine").touch()
    open_ort(bundle / GRAPH, "onnxruntime-tensorrt", caches=folder)
    assert caplog.text == ""


@pytest.fixture
def plugin(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The TensorRT-RTX plug-in, registered with an ONNX Runtime that knows how."""
    name = "NvTensorRTRTXExecutionProvider"
    registered: list[tuple[str, str]] = []
    given: list[tuple[Any, dict[str, str]]] = []
    module = SimpleNamespace(get_ep_name=lambda: name, get_library_path=lambda: "/x/lib.so")
    devices = [SimpleNamespace(ep_name="CPUExecutionProvider"), SimpleNamespace(ep_name=name)]
    options = SimpleNamespace(add_provider_for_devices=lambda *both: given.append(both))
    providers._register_plugin.cache_clear()
    monkeypatch.setattr(
        *(ort, "register_execution_provider_library", lambda *both: registered.append(both)),
        raising=False,
    )
    monkeypatch.setattr(ort, "get_ep_devices", lambda: devices, raising=False)
    monkeypatch.setattr(providers, "find_spec", lambda _: object())
    monkeypatch.setattr(providers, "import_module", lambda _: module)
    monkeypatch.setattr(opening, "_options", lambda *_: options)
    yield SimpleNamespace(registered=registered, given=given, devices=devices, module=module)
    providers._register_plugin.cache_clear()


def test_the_plug_in_is_registered_once_and_gets_this_gpu(
    bundle: Path, plugin: SimpleNamespace, tmp_path: Path
) -> None:
    for _ in range(2):
        backend = open_ort(bundle / GRAPH, "onnxruntime-tensorrt-rtx", caches=lambda _: tmp_path)
        assert backend.name == "onnxruntime-tensorrt-rtx"
    assert plugin.registered == [("NvTensorRTRTXExecutionProvider", "/x/lib.so")]
    assert plugin.given[0] == ([plugin.devices[1]], {"nv_runtime_cache_path": str(tmp_path)})


def test_a_gpu_that_the_plug_in_does_not_take_is_one_line(
    bundle: Path, plugin: SimpleNamespace
) -> None:
    del plugin.devices[1]
    with pytest.raises(BackendError, match="does not run on this GPU, which is sm86"):
        open_ort(bundle / GRAPH, "onnxruntime-tensorrt-rtx")


def test_a_plug_in_that_does_not_load_says_which_library_it_lacks(
    bundle: Path, plugin: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "[ONNXRuntimeError] : 1 : FAIL : Failed to load library /x/l.so with error: libcuda.so.1"
    )

    def refuse(name: str, path: str) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(ort, "register_execution_provider_library", refuse)
    with pytest.raises(BackendError, match=r"rtx-cu13 does not load: libcuda\.so\.1$"):
        open_ort(bundle / GRAPH, "onnxruntime-tensorrt-rtx")


def test_without_the_plug_in_its_package_is_named(bundle: Path, sessions: Sessions) -> None:
    with pytest.raises(BackendError, match="pip install onnxruntime-ep-nv-tensorrt-rtx-cu13"):
        open_ort(bundle / GRAPH, "onnxruntime-tensorrt-rtx")


def test_a_bundle_that_is_read_only_has_its_engines_kept_elsewhere(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgecnn_runtime.backends import caches

    copy = Path(shutil.copytree(bundle, tmp_path / "copy.bundle"))
    opened = open_bundle(copy)
    assert caches.cache_folder(opened, "ort") == copy / "engines" / "ort"

    monkeypatch.setattr(caches.os, "access", lambda *_: False)  # root may write everywhere
    monkeypatch.setattr(caches.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    elsewhere = caches.cache_folder(opened, "ort")
    assert elsewhere.is_dir()
    graph = opened.manifest.onnx[0].sha256[:16]
    assert elsewhere == tmp_path / "cache" / "edgecnn" / graph / "ort"


def test_loading_the_libraries_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load x"), raising=False)
    providers.load_libraries("onnxruntime-cuda")
    assert capsys.readouterr() == ("", "")


def test_what_a_missing_library_is_called_is_found_in_the_loaders_words(tmp_path: Path) -> None:
    said = providers._missing_library("onnxruntime_providers_never")
    assert "onnxruntime_providers_never" in said
    assert logging.getLogger("edgecnn").level == logging.NOTSET
