from __future__ import annotations

import io
import json
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from edgecnn_runtime.commands.layers import show_layers
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency.inspector import layers_of, runs_of
from edgecnn_runtime.latency.layers import (
    Layer,
    LayerProfile,
    LayerRuns,
    LayerTimes,
    by_kind,
    in_another_precision,
    layer_profile,
    roofline,
)
from edgecnn_runtime.latency.peaks import Peaks, peaks_of
from edgecnn_runtime.machine.driver import Gpu

# A depthwise and a pointwise convolution in FP16, as TensorRT's inspector describes an engine that
# was built with detailed verbosity, and a fused part of which it tells the name and tensors alone.
INSPECTED = json.dumps(
    {
        "Layers": [
            {
                "Name": "features.1.0/Conv + features.1.0/Clip",
                "LayerType": "CaskConvolution",
                "ParameterType": "Convolution",
                "Inputs": [
                    {
                        "Name": "x",
                        "Dimensions": [1, 32, 112, 112],
                        "Format/Datatype": "Channel major FP16 format where channel % 8 == 0",
                    }
                ],
                "Outputs": [
                    {
                        "Name": "y",
                        "Dimensions": [1, 32, 112, 112],
                        "Format/Datatype": "Channel major FP16 format where channel % 8 == 0",
                    }
                ],
                "Kernel": [3, 3],
                "Groups": 32,
                "OutMaps": 32,
                "Weights": {"Type": "Half", "Count": 288},
            },
            {
                "Name": "features.1.1/Conv",
                "LayerType": "CaskGemmConvolution",
                "ParameterType": "Convolution",
                "Inputs": [{"Name": "y", "Dimensions": [-1, 32, 112, 112], "Datatype": "Half"}],
                "Outputs": [{"Name": "z", "Dimensions": [-1, 64, 112, 112], "Datatype": "Half"}],
                "Groups": 1,
                "OutMaps": 64,
                "Weights": {"Type": "Half", "Count": 2048},
            },
            {
                "Name": "{ForeignNode[pool...Softmax]}",
                "LayerType": "Myelin",
                "Inputs": [{"Name": "z", "Dimensions": [1, 64, 112, 112], "Datatype": "Strange"}],
                "Outputs": [{"Name": "p", "Dimensions": [1, 10], "Datatype": "Float"}],
            },
        ],
        "Bindings": ["x", "p"],
    }
)
NAMES = ("features.1.0/Conv + features.1.0/Clip", "features.1.1/Conv")
FOREIGN = "{ForeignNode[pool...Softmax]}"


class FakeEngine:
    """An engine of TensorRT: an IProfiler that reports, and an inspector that describes."""

    name, input_shape = "tensorrt", (224, 224, 3)

    def time_layers(self, frames: Sequence[NDArray[np.uint8]], runs: int) -> LayerRuns:
        reports = [
            [(NAMES[0], 0.02), (NAMES[1], 0.04 + 0.01 * (index % 2)), (FOREIGN, 0.1)]
            for index, _ in enumerate(islice(cycle(frames), runs))
        ]
        return runs_of(reports, [0.2] * runs, layers_of(INSPECTED), "fp16")


def profiled(peaks: Peaks | None = None) -> LayerProfile:
    engine = FakeEngine()
    assert isinstance(engine, LayerTimes)
    measured = engine.time_layers([np.zeros((224, 224, 3), np.uint8)], 9)
    return layer_profile(
        measured,
        backend="tensorrt",
        device="a GPU",
        infer_ms=0.18,
        end_to_end_ms=0.5,
        peaks=peaks,
    )


def test_layers_of_an_engine_are_timed_and_described() -> None:
    found = profiled()
    depthwise, pointwise, rest = found.layers
    assert (depthwise.name, depthwise.kind) == (NAMES[0], "Convolution")
    assert depthwise.macs == 112 * 112 * 32 * 9
    assert pointwise.macs == 112 * 112 * 64 * 32
    assert pointwise.bytes == 2 * (112 * 112 * (32 + 64) + 2048)
    assert pointwise.p50_ms == pytest.approx(0.04)
    assert pointwise.mean_ms == pytest.approx((5 * 0.04 + 4 * 0.05) / 9, abs=1e-5)
    assert (rest.kind, rest.macs, rest.bytes) == ("Myelin", None, None), "never a guess"
    assert sum(layer.share for layer in found.layers) == pytest.approx(1, abs=1e-4)


def test_what_is_not_in_the_layers_is_told() -> None:
    found = profiled()
    assert found.layers_ms == pytest.approx(0.16)
    out = io.StringIO()
    show_layers(found, Console(file=out, width=160))
    text = out.getvalue()
    assert "layers 0.160 ms, between them 0.040, together 0.200 while profiled" in text
    assert "inference 0.180 ms (profiling costs +0.020), whole frame 0.500" in text
    assert "2 Convolution 38%" in text
    assert "at least" not in text, "nothing is known of the hardware"


def test_each_layer_has_the_precision_that_the_engine_tells() -> None:
    found = profiled()
    assert found.precision == "fp16"
    assert [layer.precision for layer in found.layers] == ["fp16", "fp16", ""], "never a guess"
    assert in_another_precision(found) == []


TENSOR = {"Name": "t", "Location": "Device", "Dimensions": [1, 32, 28, 28]}
INT8 = {**TENSOR, "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format."}
FP16 = {**TENSOR, "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}
FP32 = {**TENSOR, "Format/Datatype": "Row major linear FP32"}
OPEN = {**TENSOR, "Dimensions": [-1, 32, 28, 28], "Format/Datatype": "N/A due to dynamic shapes"}


@pytest.mark.parametrize(
    ("enters", "leaves", "weights", "precision"),
    [
        (INT8, INT8, {"Type": "Int8", "Count": 9216}, "int8"),
        (INT8, FP32, {"Type": "Int8", "Count": 9216}, "int8"),
        (FP32, FP32, {"Type": "Float", "Count": 9216}, "fp32"),
        (OPEN, OPEN, {"Type": "Half", "Count": 9216}, "fp16"),
        (OPEN, OPEN, {}, ""),
        (FP16, FP16, {}, "fp16"),
        (FP32, INT8, {}, ""),
    ],
)
def test_a_layers_precision_is_that_of_its_weights_or_of_all_its_tensors(
    enters: Any, leaves: Any, weights: Any, precision: str
) -> None:
    layer = {"Name": "l", "LayerType": "CaskConvolution", "Inputs": [enters], "Outputs": [leaves]}
    text = json.dumps({"Layers": [{**layer, "Weights": weights}], "Bindings": []})
    assert layers_of(text)[0].precision == precision


def test_a_layer_in_a_higher_precision_than_was_asked_for_is_named_and_judged_by_its_own() -> None:
    conv = {
        **{"LayerType": "CaskConvolution", "ParameterType": "Convolution", "OutMaps": 32},
        **{"Inputs": [FP32], "Outputs": [FP32], "Weights": {"Type": "Float", "Count": 9216}},
    }
    text = json.dumps({"Layers": [{"Name": "stem", **conv}], "Bindings": []})
    measured = runs_of([[("stem", 1.0)]], [1.1], layers_of(text), "int8")
    found = layer_profile(
        measured,
        backend="tensorrt",
        device="a GPU",
        infer_ms=1.0,
        end_to_end_ms=1.2,
        peaks=Peaks(fp32=1, fp16=40, int8=80, gb_per_s=400),
    )
    (stem,) = found.layers
    assert (stem.precision, stem.bound) == ("fp32", "compute")
    assert stem.least_ms == pytest.approx(2 * 28 * 28 * 9216 / 1e9, rel=1e-3), "at FP32's peak"
    out = io.StringIO()
    show_layers(found, Console(file=out, width=160))
    assert "not in int8, which was asked for: stem (fp32)" in out.getvalue()


def test_an_engine_that_tells_names_alone_has_times_and_no_figures_made_up() -> None:
    layers = layers_of(json.dumps({"Layers": list(NAMES), "Bindings": []}))
    found = runs_of([[(NAMES[0], 1.0), (NAMES[1], 2.0)]], [3.5], layers)
    assert found.times_ms == [[1.0, 2.0]]
    assert [(layer.name, layer.macs, layer.bytes) for layer in found.layers] == [
        (NAMES[0], None, None),
        (NAMES[1], None, None),
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"layers": []}', '{"Layers": [{"Inputs": 3}]}'])
def test_an_inspectors_answer_that_cannot_be_read_is_one_clear_error(text: str) -> None:
    with pytest.raises(BackendError, match="expected JSON with Layers"):
        layers_of(text)


def test_reports_that_differ_from_run_to_run_are_refused() -> None:
    with pytest.raises(BackendError, match="other layers from run to run"):
        runs_of([[("a", 1.0)], [("b", 1.0)]], [1.0, 1.0], ())


def test_kinds_are_summed_the_dearest_first() -> None:
    kinds = by_kind(profiled().layers)
    assert list(kinds) == ["Myelin", "Convolution"]
    assert kinds["Convolution"][0] == 2
    assert kinds["Convolution"][1] == pytest.approx(0.06 / 0.16, abs=1e-4)


def gpu(target: str, count: int, mhz: int, memory_mhz: int = 0, bits: int = 0, **more: Any) -> Gpu:
    return Gpu("", target, more.get("memory_mb", 16384), count, mhz, memory_mhz, bits, not bits)


@pytest.mark.parametrize(
    ("card", "published"),
    [  # FP32, FP16 dense, INT8 dense, GB/s as NVIDIA publishes them
        (gpu("sm75", 68, 1635, 7000, 352), (14.2, 113.8, 227.7, 616)),  # RTX 2080 Ti FE
        (gpu("sm80", 108, 1410, 1215, 5120), (19.5, 312, 624, 1555)),  # A100 40 GB
        (gpu("sm86", 82, 1695, 9751, 384), (35.6, 142, 285, 936)),  # RTX 3090
        (gpu("sm89", 128, 2520, 10501, 384), (82.6, 330.3, 660.6, 1008)),  # RTX 4090
        (gpu("sm90", 132, 1830, 2619, 5120), (61.8, 989, 1979, 3350)),  # H100 SXM, tensor clock
        (gpu("sm120", 170, 2407, 14001, 512), (104.8, 419, 838, 1792)),  # RTX 5090
    ],
)
def test_peaks_are_those_that_nvidia_publishes(card: Gpu, published: tuple[float, ...]) -> None:
    found = peaks_of(card)
    assert found is not None
    got = (found.fp32, found.fp16, found.int8, found.gb_per_s)
    assert got == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("board", "card", "int8", "gb_per_s"),
    [  # INT8 is published for sparse weights, which is twice
        ("NVIDIA Jetson AGX Orin Developer Kit", gpu("sm87", 16, 1300), 170 / 2, 204.8),
        (
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
            gpu("sm87", 8, 1020),
            67 / 2,
            102.4,
        ),
        ("NVIDIA Jetson Orin Nano Developer Kit", gpu("sm87", 8, 625), 40 / 2, 68.3),
        ("NVIDIA Jetson Orin Nano", gpu("sm87", 4, 625, memory_mb=3600), 20 / 2, 34.1),
        ("NVIDIA Jetson Orin NX Engineering Reference", gpu("sm87", 8, 918), 60 / 2, 102.4),
        ("somebody's own board", gpu("sm87", 8, 918), 60 / 2, None),
    ],
)
def test_a_jetsons_memory_is_known_by_its_board(
    board: str, card: Gpu, int8: float, gb_per_s: float | None
) -> None:
    found = peaks_of(card, board)
    assert found is not None
    assert found.int8 == pytest.approx(int8, rel=0.03)
    if gb_per_s is None:
        assert found.gb_per_s is None
    else:
        assert found.gb_per_s == pytest.approx(gb_per_s, abs=0.1)


def test_a_gpu_that_is_not_in_the_table_has_no_peaks() -> None:
    assert peaks_of(gpu("sm61", 28, 1582, 5505, 352)) is None


def test_the_roofline_says_what_a_layer_waits_for() -> None:
    peaks = Peaks(fp32=10, fp16=40, int8=80, gb_per_s=400)
    dense = Layer("3x3", "Conv", macs=400_000_000, bytes=2_000_000)
    assert roofline(dense, "fp32", peaks) == ("compute", pytest.approx(0.08))
    assert roofline(dense, "fp16", peaks) == ("compute", pytest.approx(0.02))
    depthwise = Layer("dw", "Conv", macs=1_000_000, bytes=4_000_000)
    assert roofline(depthwise, "fp16", peaks) == ("memory", pytest.approx(0.01))
    assert roofline(Layer("add", "Add", bytes=400_000), "fp16", peaks)[0] == "memory"
    assert roofline(Layer("?", "Myelin"), "fp16", peaks) == (None, None)
    assert roofline(dense, "fp16", Peaks(10, 40, 80, None)) == (None, None)


def test_the_table_shows_the_roofline_where_the_hardware_is_known() -> None:
    out = io.StringIO()
    found = profiled(Peaks(fp32=10, fp16=40, int8=80, gb_per_s=400))
    show_layers(found, Console(file=out, width=160))
    (row,) = [line for line in out.getvalue().splitlines() if NAMES[1] in line]
    least = found.layers[1].least_ms
    assert least == pytest.approx(2 * (112 * 112 * 96 + 2048) / 400e6, rel=1e-3)
    assert row.split()[-3:] == ["memory", f"{least:.4f}", f"{least / 0.04:.0%}"]
    assert "FP16 40, INT8 80 tera-operations a second, 400 GB/s" in out.getvalue()
