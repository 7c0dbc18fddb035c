from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecnn_runtime.backends.ort.layers import OrtLayers, parse_profile
from edgecnn_runtime.errors import BackendError

SIDE, CHANNELS, CLASSES = 24, 32, 16


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames -> two convolutions, one of them depthwise -> mean -> product. Named as we name."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    weights = [
        weight("stem", CHANNELS, 3, 3, 3),
        weight("depthwise", CHANNELS, 1, 3, 3),
        weight("head", CHANNELS, CLASSES),
    ]
    nodes: list[onnx.NodeProto] = []

    def node(kind: str, name: str, *inputs: str, **attributes: Any) -> None:
        """A node named as its output, as our exports name them, after the one before it."""
        previous = nodes[-1].output[0] if nodes else "frames"
        nodes.append(helper.make_node(kind, [previous, *inputs], [name], name, **attributes))

    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    node("Cast", "input/Cast", to=TensorProto.FLOAT)
    node("Transpose", "input/Transpose", perm=[0, 3, 1, 2])
    node("Conv", "stem/Conv", "stem", **pads)
    node("Conv", "depthwise/Conv", "depthwise", group=CHANNELS, **pads)
    node("ReduceMean", "pool/Mean", axes=[2, 3], keepdims=0)
    node("MatMul", "head/MatMul", "head")
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    answer = helper.make_tensor_value_info("head/MatMul", TensorProto.FLOAT, ["n", CLASSES])
    graph = helper.make_graph(nodes, "network", [frames], [answer], weights)
    path = tmp_path_factory.mktemp("layers") / "network.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


def test_nodes_keep_their_names_and_their_macs_and_bytes_are_counted(
    network: Path, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    frames = [np.ascontiguousarray(p[:SIDE, :SIDE]) for p in photographs.values()]
    found = OrtLayers(network, threads=1).time_layers(frames, 7)
    assert len(found.times_ms) == len(found.runs_ms) == 7
    layers = {layer.name: layer for layer in found.layers}
    assert layers["stem/Conv"].macs == SIDE * SIDE * CHANNELS * 27
    assert layers["depthwise/Conv"].macs == SIDE * SIDE * CHANNELS * 9
    assert layers["head/MatMul"].macs == CHANNELS * CLASSES
    assert layers["input/Cast"].macs is None
    assert layers["input/Cast"].bytes == SIDE * SIDE * 3 * (1 + 4)
    assert layers["head/MatMul"].bytes == 4 * (CHANNELS + CLASSES + CHANNELS * CLASSES)
    stem = 4 * (SIDE * SIDE * (3 + CHANNELS) + CHANNELS * 27)
    assert layers["stem/Conv"].bytes == stem
    assert {layer.provider for layer in found.layers} == {"CPUExecutionProvider"}
    for times, whole in zip(found.times_ms, found.runs_ms, strict=True):
        assert 0 < sum(times) <= whole


def test_a_profile_leaves_no_file_behind(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    OrtLayers(network).time_layers([np.zeros((SIDE, SIDE, 3), np.uint8)], 2)
    assert list(tmp_path.iterdir()) == []


def test_a_profile_without_runs_is_one_clear_error() -> None:
    with pytest.raises(BackendError, match="without a run"):
        parse_profile(b'[{"cat": "Session", "name": "model_loading_uri", "args": {}}]')
