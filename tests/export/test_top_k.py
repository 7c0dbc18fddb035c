"""The best classes as two more outputs, for those who read the graph without our runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edgecnn.models import build
from edgecnn_export.graph_file import write_graph
from edgecnn_export.half import to_half
from edgecnn_export.sessions import run_graph
from edgecnn_export.sources import Options, make_input, open_source
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import find_compiler
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.backends.ort import open_ort

OneLine = Callable[..., str]
LABELS = tuple("abcdefgh")


def graph_with(**options: bool | int) -> onnx.ModelProto:
    torch.manual_seed(0)
    network = build("squeezenet1_1", num_classes=len(LABELS)).eval()
    spec = make_input(Options(), (48, 48), 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    return to_onnx(network, spec, LABELS, GraphOptions(**options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_best_classes_come_sorted_behind_the_probabilities(
    precision: str, frames: np.ndarray
) -> None:
    graph = graph_with(top_k=3)
    if precision == "fp16":
        graph = to_half(graph)
    assert [out.name for out in graph.graph.output] == [
        "probabilities",
        "top_probabilities",
        "top_classes",
    ]
    probabilities, best, classes = run_graph(graph, frames)
    assert classes.dtype == np.int32
    assert best.dtype == np.float32
    expected = np.argsort(-probabilities, axis=1, kind="stable")[:, :3]
    assert np.array_equal(classes, expected)
    assert np.array_equal(best, np.take_along_axis(probabilities, expected, 1))


def test_they_come_behind_the_logits_too_and_change_nothing_else(
    frames: np.ndarray, tmp_path: Path
) -> None:
    graph = graph_with(top_k=len(LABELS), logits=True)
    names = [out.name for out in graph.graph.output]
    assert names == ["probabilities", "logits", "top_probabilities", "top_classes"]
    plain = run_graph(graph_with(), frames)[0]
    assert np.array_equal(run_graph(graph, frames)[0], plain)
    write_graph(graph, tmp_path / "m.onnx")
    assert np.array_equal(open_ort(tmp_path / "m.onnx", "onnxruntime").infer(frames), plain)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_an_engine_of_it_is_compiled(precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    graph = graph_with(top_k=2)
    if precision != "fp32":
        graph = to_half(graph, precision)  # type: ignore[arg-type]
    content = graph.SerializeToString()
    engine = build_engine(find_compiler("tensorrt-rtx"), content, "sm86", BuildOptions())
    assert len(engine) > 500_000


def somebody_elses(path: Path) -> None:
    """Which channel is the brightest, with a fixed batch of one."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["y"], axis=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "other", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


def test_somebody_elses_graph_gets_them_too(tmp_path: Path) -> None:
    somebody_elses(tmp_path / "other.onnx")
    source = open_source(str(tmp_path / "other.onnx"), Options(color="bgr"))
    graph = source.graph(GraphOptions(top_k=2))
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    frames[0, ..., 2], frames[1, ..., 0] = 255, 255
    _, best, classes = run_graph(graph, frames)
    assert classes.tolist() == [[2, 0], [0, 1]]  # of equals the first class
    assert (best[:, 0] > best[:, 1]).all()


@pytest.mark.parametrize("k", [0, 11])
def test_more_classes_than_there_are_is_one_line(k: int, refused: OneLine, tmp_path: Path) -> None:
    line = refused("export", "lenet5", "--random", "--top-k", k, "--out", tmp_path / "b")
    assert f"top-k of {k}; the model has 10 classes: expected 1 to 10" in line
    assert list(tmp_path.iterdir()) == []
