"""Weights that no protobuf can hold lie beside the graph, and are checked as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from edgecnn_export import graph_file
from edgecnn_export.export import export
from edgecnn_export.sources import Options, make_input, open_source
from edgecnn_export.tensorrt.build import BuildOptions
from edgecnn_export.tensorrt.compilers import find_compiler
from edgecnn_export.tensorrt.engines import compile_bundle
from edgecnn_export.to_onnx import to_onnx
from edgecnn_runtime.bundle import open_bundle, read_golden
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BundleError

OneLine = Callable[..., str]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose weights would not fit into a protobuf if its limit were 10 kB."""
    path = tmp_path_factory.mktemp("bundles") / "large.bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_file, "LIMIT", 10_000)
        source = open_source("lenet5_modern", Options(random=True))
        export(source, path, precisions=("fp32", "fp16"))
    return path


def test_weights_above_the_limit_lie_in_a_file_beside_the_graph(large: Path) -> None:
    for graph in open_bundle(large).manifest.onnx:
        assert graph.data is not None
        assert graph.data.file == f"{graph.file}.data"
        assert graph.bytes < 20_000 < graph.data.bytes
    assert run(["verify", str(large)]) == 0


def test_such_a_bundle_answers_as_the_model_does(large: Path) -> None:
    golden = read_golden(open_bundle(large))
    with Classifier.open(large) as classify:
        answers = classify.probabilities(golden.frames)
    assert np.abs(answers - golden.probabilities).max() < 1e-5


def test_such_a_bundle_is_compiled_from_both_files(large: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    bundle = open_bundle(large)
    engines = compile_bundle(bundle, find_compiler("tensorrt-rtx"), ["sm86"], BuildOptions())
    for engine, graph in zip(engines, bundle.manifest.onnx, strict=True):
        assert graph.data is not None
        assert engine.bytes > graph.data.bytes


@pytest.mark.parametrize("part", ["model.fp32.onnx", "model.fp32.onnx.data"])
def test_a_change_of_either_file_is_noticed(large: Path, part: str) -> None:
    file = large / part
    was = file.read_bytes()
    try:
        file.write_bytes(was[:-1] + bytes([was[-1] ^ 1]))
        with pytest.raises(BundleError, match=f"{part} was altered"):
            Classifier.open(large)
        with pytest.raises(BundleError, match=f"{part} was altered"):
            open_bundle(large).check()
        file.unlink()
        with pytest.raises(BundleError, match=f"{part} is missing"):
            open_bundle(large)
    finally:
        file.write_bytes(was)


def somebody_elses(path: Path, location: str) -> None:
    """A classifier whose weights are said to lie in another file."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8), torch.nn.Flatten())
    torch.onnx.export(network, (torch.zeros(1, 3, 8, 8),), str(path), dynamo=False)
    model = onnx.load(path)
    weights = path.with_name("weights.bin")
    onnx.external_data_helper.convert_model_to_external_data(model, location=weights.name)
    onnx.save(model, path)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_somebody_elses_weights_may_lie_beside_their_graph(tmp_path: Path) -> None:
    somebody_elses(tmp_path / "other.onnx", "weights.bin")
    export(open_source(str(tmp_path / "other.onnx"), Options()), tmp_path / "b")
    assert open_bundle(tmp_path / "b").manifest.model.parameters == 772


@pytest.mark.parametrize(
    ("location", "says"), [("../weights.bin", "outside"), ("/etc/passwd", "a relative path")]
)
def test_somebody_elses_weights_outside_of_their_folder_are_refused(
    location: str, says: str, tmp_path: Path, refused: OneLine
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(4096))
    (tmp_path / "folder").mkdir()
    somebody_elses(tmp_path / "folder" / "other.onnx", location)
    line = refused("export", tmp_path / "folder" / "other.onnx", "--out", tmp_path / "b")
    assert says in line
    assert location in line
    assert not (tmp_path / "b").exists()


def test_a_graph_is_converted_to_another_opset_with_its_weights() -> None:
    spec = make_input(Options(), (32, 32), 1, (0.5,), (0.5,))
    source = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 3))
    graph = to_onnx(source.eval(), spec, ("a", "b", "c"))
    newer = graph_file.convert_opset(graph, 19)
    assert newer.opset_import[0].version == 19
    assert [i.name for i in newer.graph.input] == ["frames"]
    assert {i.name: i.raw_data for i in newer.graph.initializer} == {
        i.name: i.raw_data for i in graph.graph.initializer
    }
