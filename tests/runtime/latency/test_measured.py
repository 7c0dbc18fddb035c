from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgecnn_runtime.backends.ort.peak import Peak, one_node
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency import measured
from edgecnn_runtime.latency.layers import Layer, roofline
from edgecnn_runtime.latency.measured import copy_gb_per_s, measured_peaks
from edgecnn_runtime.latency.peaks import Level, Peaks


@pytest.mark.parametrize(
    ("operator", "left", "right", "answer"),
    [
        ("MatMul", np.float32, np.float32, np.float32),
        ("MatMulInteger", np.uint8, np.int8, np.int32),
    ],
)
def test_the_graph_written_by_hand_is_onnx_and_multiplies(
    operator: str, left: type, right: type, answer: type
) -> None:
    source = np.random.default_rng(0)
    a = source.integers(0, 8, (5, 300)).astype(left)
    b = source.integers(-8, 8, (300, 7)).astype(right)
    graph = one_node(operator, (left, a.shape), (answer, (5, 7)), b)
    onnx.checker.check_model(graph, full_check=True)
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": a})
    np.testing.assert_allclose(got, a.astype(np.int64) @ b.astype(np.int64))


def test_the_peaks_of_this_processor_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "WORKING_SETS", (1 << 17,))
    monkeypatch.setattr(measured, "MEMORY", 1 << 24)
    found = measured_peaks("onnxruntime", threads=1)
    assert found is not None
    assert found.source == "measured"
    assert min(found.fp32, found.fp16, found.int8, found.gb_per_s or 0) > 0
    assert found.levels[0].bytes == 1 << 17


def test_a_pass_over_memory_also_runs_through_onnx_runtime() -> None:
    assert Peak(threads=1).gb_per_s(1 << 20) > 0


def test_copies_count_what_is_read_and_written() -> None:
    assert copy_gb_per_s(1 << 16, 2) > 0


def test_a_gpu_that_is_not_here_has_no_measured_peaks() -> None:
    assert measured_peaks("tensorrt") is None
    with pytest.raises(BackendError):
        Peak("onnxruntime-cuda", threads=1)


def test_a_layer_that_fits_into_a_cache_is_held_to_the_caches_rate() -> None:
    peaks = Peaks(0.2, 0.2, 0.8, 20.0, (Level(1 << 20, 100.0),), "measured")
    small, large = Layer("a", "Add", bytes=1 << 20), Layer("b", "Add", bytes=1 << 21)
    assert roofline(small, "fp32", peaks) == ("memory", pytest.approx((1 << 20) / 100e6))
    assert roofline(large, "fp32", peaks) == ("memory", pytest.approx((1 << 21) / 20e6))
    dense = Layer("c", "Conv", macs=10**8, bytes=1 << 20)
    assert roofline(dense, "int8-cpu", peaks) == ("compute", pytest.approx(0.25))
