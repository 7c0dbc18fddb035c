"""The graph takes camera frames and answers with probabilities."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgecnn.data import load_data
from edgecnn.models import build
from edgecnn.training.inputs import input_for, to_tensor
from edgecnn_export.graph_file import write_graph
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.errors import InputError

NETWORKS = [("mobilenet_v1", "terrain", 64, 3), ("lenet5", "mnist5k", 32, 1)]


def _export(name: str, data_name: str, size: int, channels: int, path: Path):
    data = load_data(data_name)
    spec = input_for(data, size, size, channels)
    torch.manual_seed(0)
    network = build(name, num_classes=len(data.labels)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    write_graph(to_onnx(network, spec, data.labels), path)
    return network, spec, data.labels


@pytest.mark.parametrize(("name", "data", "size", "channels"), NETWORKS)
def test_the_graph_agrees_with_pytorch_at_any_batch(
    name: str, data: str, size: int, channels: int, tmp_path: Path
) -> None:
    network, spec, _ = _export(name, data, size, channels, tmp_path / "m.onnx")
    backend = open_ort(tmp_path / "m.onnx", "onnxruntime")
    assert backend.input_shape == (size, size, channels)
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        frames = rng.integers(0, 256, (batch, size, size, channels), dtype=np.uint8)
        with torch.no_grad():
            expected = network(to_tensor(torch.from_numpy(frames), spec)).softmax(1).numpy()
        answers = backend.infer(frames)
        assert answers.shape == expected.shape
        assert np.abs(answers - expected).max() < 1e-5


@pytest.mark.parametrize(("name", "data", "size", "channels"), NETWORKS)
def test_the_graph_is_folded_and_says_what_it_is(
    name: str, data: str, size: int, channels: int, tmp_path: Path
) -> None:
    _, spec, labels = _export(name, data, size, channels, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    kinds = Counter(node.op_type for node in model.graph.node)
    assert not {"BatchNormalization", "Identity", "Constant", "Gather", "Concat"} & set(kinds)
    assert model.graph.node[0].op_type == "Cast"  # TensorRT reads uint8 in no other layer
    assert next(o.version for o in model.opset_import if o.domain == "") == 17
    entries = {p.key: p.value for p in model.metadata_props}
    assert json.loads(entries["edgecnn.labels"]) == list(labels)
    assert json.loads(entries["edgecnn.input"])["color"] == spec.color
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", size, size, channels]


def test_an_opset_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="opset 99; expected 13 to 20"):
        GraphOptions(opset=99)
