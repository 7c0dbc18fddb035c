"""`verify --layers` finds the first layer where two graphs of one network part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgecnn_export.layers import compare_graphs, compare_layers
from edgecnn_runtime.bundle import open_bundle, read_golden, write_manifest
from edgecnn_runtime.cli import run

OneLine = Callable[..., str]
Rewrite = Callable[..., None]


def with_weights(graph: Path, layer: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The graph with other weights in one layer."""
    model = onnx.load(graph)
    weight = next(i for i in model.graph.initializer if i.name == f"{layer}.weight")
    array = change(numpy_helper.to_array(weight)).astype(numpy_helper.to_array(weight).dtype)
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    return bytes(model.SerializeToString())


def test_fp16_parts_from_fp32_nowhere_by_more_than_it_explains(
    half_bundle: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["verify", str(half_bundle), "--layers", "--json", str(tmp_path / "v.json")]) == 0
    found = json.loads((tmp_path / "v.json").read_text())["layers"]
    assert found["first"] is None
    assert (found["precision"], found["explained"]) == ("fp16", 0.05)
    names = [layer["name"] for layer in found["layers"]]
    assert names.index("features.0.0/Conv") < names.index("features.13.1.0/Conv")
    errors = [layer["error"] for layer in found["layers"]]
    assert 1e-4 < errors[names.index("features.0.0/Conv")] < 5e-3  # one rounding
    assert 1e-3 < max(errors) < 0.05
    said = capfd.readouterr().out
    assert "half precision was rounded after each layer, as on a GPU" in said
    assert "part nowhere: the largest error is" in said


@pytest.mark.parametrize("data", [(), ("terrain",)])
def test_the_layer_whose_weights_differ_is_the_first(
    half_bundle: Path,
    rewrite: Rewrite,
    tmp_path: Path,
    data: tuple[str, ...],
    capfd: pytest.CaptureFixture[str],
) -> None:
    copy = Path(shutil.copytree(half_bundle, tmp_path / "b"))
    half = with_weights(copy / "model.fp16.onnx", "features.4.1.0", lambda w: w * 1.5)
    rewrite(copy, {"model.fp16.onnx": half})
    arguments = ["verify", str(copy), *data, "--layers", "--json", str(tmp_path / "v.json")]
    assert run(arguments) == 1
    first = json.loads((tmp_path / "v.json").read_text())["layers"]["first"]
    assert first["name"] == "features.4.1.0/Conv"
    assert first["growth"] > 10  # what goes into it is right
    (marked,) = [s for s in capfd.readouterr().out.splitlines() if "<- first" in s]
    assert marked.startswith("features.4.1.0/Conv")


def test_what_vanishes_in_fp16_is_found_where_it_vanishes(
    half_bundle: Path, rewrite: Rewrite, tmp_path: Path
) -> None:
    """Weights below 6e-8 are zero in FP16: the layer loses all, and no number is infinite."""
    copy = Path(shutil.copytree(half_bundle, tmp_path / "b"))
    graph = with_weights(copy / "model.fp16.onnx", "features.2.0.0", lambda w: w * 1e-8)
    rewrite(copy, {"model.fp16.onnx": graph})
    first = compare_graphs(open_bundle(copy)).first
    assert first is not None
    assert first.name == "features.2.0.0/Conv"


def test_a_graph_after_the_quantiser_is_compared_by_the_same_names(
    copy: Path, tmp_path: Path
) -> None:
    """Values that only exist behind their 8 bits are found under the quantiser's names."""
    graph = copy / "model.fp32.onnx"
    model = onnx.load(graph)
    last = next(n for n in model.graph.node if n.op_type == "GlobalAveragePool")
    name = last.output[0]
    last.output[0] = "pooled"
    scale = numpy_helper.from_array(np.array(0.05, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    model.graph.initializer.extend([scale, zero])
    at = list(model.graph.node).index(last) + 1
    behind, constants = f"{name}_DequantizeLinear_Output", ["scale", "zero"]
    quantise = helper.make_node("QuantizeLinear", ["pooled", *constants], ["q"])
    dequantise = helper.make_node("DequantizeLinear", ["q", *constants], [behind])
    model.graph.node.insert(at, quantise)
    model.graph.node.insert(at + 1, dequantise)
    for node in list(model.graph.node)[at + 2 :]:
        node.input[:] = [behind if i == name else i for i in node.input]
    onnx.save(model, tmp_path / "q.onnx")
    inputs = read_golden(open_bundle(copy)).inputs
    layers = {x.name: x for x in compare_layers(graph, tmp_path / "q.onnx", inputs, inputs)}
    assert layers["features.13.1.0/Conv"].error == 0
    assert 1e-3 < layers[name].error < 0.2


def test_two_bundles_of_one_network_are_compared(
    trained_bundle: Path, copy: Path, rewrite: Rewrite, tmp_path: Path, refused: OneLine
) -> None:
    result = tmp_path / "v.json"
    against = ["verify", trained_bundle, "--against", copy, "--layers", "--json", result]
    assert run([str(a) for a in against]) == 0
    content = json.loads(result.read_text())
    assert [a["status"] for a in content["artifacts"]] == ["agrees", "agrees"]
    assert max(layer["error"] for layer in content["layers"]["layers"]) == 0
    other = with_weights(copy / "model.fp32.onnx", "features.7.1.0", lambda w: w * 1.01)
    rewrite(copy, {"model.fp32.onnx": other})
    line = refused(*against, status=1)
    assert f"{copy / 'model.fp32.onnx'}: other answers than expected" in line
    assert json.loads(result.read_text())["layers"]["first"]["name"] == "features.7.1.0/Conv"


def test_another_preprocessing_shows_before_the_first_layer(
    trained_bundle: Path, copy: Path, rewrite: Rewrite
) -> None:
    rewrite(copy, color="bgr")
    found = compare_graphs(open_bundle(trained_bundle), open_bundle(copy))
    assert found.first is not None
    assert (found.first.name, found.first.operator) == ("frames", "input")


def test_what_cannot_be_compared_is_one_line(
    trained_bundle: Path, copy: Path, refused: OneLine
) -> None:
    assert "has one graph; expected two" in refused("verify", trained_bundle, "--layers")
    assert "has no ONNX graph of precision int8; it has: fp32" in refused(
        "verify", trained_bundle, "--layers", "--precision", "int8"
    )
    assert "--precision goes with --layers" in refused("verify", copy, "--precision", "fp32")
    manifest = open_bundle(copy).manifest
    write_manifest(copy, msgspec.structs.replace(manifest, labels=("a", "b", "c")))
    line = refused("verify", trained_bundle, "--against", copy)
    assert "answer with other labels; expected two bundles of one network" in line
