"""A graph of a newer opset comes out in 17, which JetPack 6 reads, or says why it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecnn_export.export import ExportResult, export
from edgecnn_export.sources import Options, open_source
from edgecnn_export.to_onnx import GraphOptions

NEWEST = onnx.defs.onnx_opset_version()


def somebody_elses(opset: int, middle: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Eight features of a picture, h, become four logits of f; `middle` leads from h to f."""
    rng = np.random.default_rng(0)
    constants = {
        "conv": rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
        "weight": rng.standard_normal((8, 4)).astype(np.float32),
        "ones": np.ones(8, np.float32),
        "axes": np.array([2, 3]),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "rows": np.array([0, 8]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["h"]),
        *middle,
        helper.make_node("ReduceMean", ["f", "axes"], ["m"], keepdims=0),
        helper.make_node("Reshape", ["m", "rows"], ["r"]),
        helper.make_node("MatMul", ["r", "weight"], ["y"]),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [image], [answer], tensors)
    made = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=made, ir_version=10)


def exported(model: onnx.ModelProto, folder: Path, opset: int = 17) -> tuple[ExportResult, int]:
    """What became of it, and its opset; that the answers are the same is proved on the way."""
    onnx.save(model, folder / "theirs.onnx")
    source = open_source(str(folder / "theirs.onnx"), Options())
    result = export(source, folder / "b", options=GraphOptions(opset=opset))
    written = onnx.load(folder / "b" / "model.fp32.onnx")
    return result, int(written.opset_import[0].version)


MIDDLE = [
    helper.make_node("Pad", ["h", "pads"], ["p"], mode="reflect"),
    helper.make_node("AveragePool", ["p"], ["a"], kernel_shape=[2, 2], dilations=[1, 1]),
    helper.make_node("Resize", ["a", "", "scales"], ["s"], mode="linear", antialias=0),
    helper.make_node("Split", ["s"], ["s1", "s2"], axis=1, num_outputs=2),
    helper.make_node("Concat", ["s2", "s1"], ["t"], axis=1),
    helper.make_node("Cast", ["t"], ["c"], to=TensorProto.FLOAT, saturate=1),
    helper.make_node("HardSwish", ["c"], ["f"]),
]


@pytest.mark.parametrize("opset", range(19, NEWEST + 1))
def test_what_only_got_new_types_and_options_comes_out_in_17(opset: int, tmp_path: Path) -> None:
    result, written = exported(somebody_elses(opset, MIDDLE), tmp_path)
    assert written == 17
    assert result.remarks == ()
    assert result.artifacts[0].parity.max_abs < 1e-5


@pytest.mark.parametrize(
    "middle",
    [
        [helper.make_node("Mish", ["h"], ["f"])],
        [helper.make_node("GridSample", ["h", "grid"], ["f"], mode="linear")],
        [helper.make_node("Resize", ["h", "", "half"], ["f"], mode="linear", antialias=1)],
    ],
    ids=["new", "renamed", "antialias"],
)
def test_what_has_no_older_form_keeps_its_opset_and_says_so(
    middle: list[onnx.NodeProto], tmp_path: Path
) -> None:
    model = somebody_elses(20, middle)
    grid = np.random.default_rng(0).uniform(-1, 1, (1, 9, 9, 2)).astype(np.float32)
    half = np.array([1, 1, 0.5, 0.5], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(grid, "grid"))
    model.graph.initializer.append(numpy_helper.from_array(half, "half"))
    result, written = exported(model, tmp_path)
    assert written == 20
    assert result.remarks[0].startswith("opset 20, since this graph has no form in opset 17")


def test_an_opset_that_was_asked_for_is_kept(tmp_path: Path) -> None:
    assert exported(somebody_elses(20, MIDDLE), tmp_path, opset=20)[1] == 20
