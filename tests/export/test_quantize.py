"""A graph in INT8: which nodes round what, for TensorRT and for CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgecnn.data import load_data
from edgecnn_export.calibration import collect, ranges
from edgecnn_export.material import held_out, material
from edgecnn_export.quantize import KINDS, layers, quantize, tensors
from edgecnn_export.sessions import run_all
from edgecnn_export.sources import Options, open_source
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import find_compiler
from edgecnn_export.to_onnx import DEFAULT


class Quantised(NamedTuple):
    whole: onnx.ModelProto  # in FP32
    int8: onnx.ModelProto
    cpu: onnx.ModelProto
    inputs: np.ndarray
    ranges: dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def made(trained_run: Path) -> Quantised:
    source, data = open_source(str(trained_run), Options()), load_data("terrain")
    graph = source.graph(DEFAULT)
    judges = held_out(graph, source.spec, source.labels, data)
    images = material(source.spec, data, 60, judges)
    values = collect(graph, tensors(layers(graph), "int8-cpu"), images.inputs)
    found = {kind: ranges(values, "minmax", KINDS[kind].levels) for kind in KINDS}
    graphs = [quantize(graph, found[kind], kind) for kind in ("int8", "int8-cpu")]
    return Quantised(graph, *graphs, judges.inputs, found["int8"])


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in model.graph.node for name in node.output}


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def pairs(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """(node, DequantizeLinear) for each dequantised value that a node reads."""
    made_by = producers(model)
    for node in model.graph.node:
        for name in node.input:
            if name in made_by and made_by[name].op_type == "DequantizeLinear":
                yield node, made_by[name]


def test_every_convolution_reads_an_input_and_weights_of_eight_bits(made: Quantised) -> None:
    made_by, values = producers(made.int8), constants(made.int8)
    wanted = {layer.name for layer in layers(made.whole)}
    assert len(wanted) == 28
    for node in made.int8.graph.node:
        if node.name in wanted:
            x, weight = (made_by[name] for name in node.input[:2])
            assert (x.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
            assert made_by[x.input[0]].op_type == "QuantizeLinear"
            assert values[weight.input[0]].dtype == np.int8
    assert {node.name for node, _ in pairs(made.int8)} == wanted


def test_zero_points_are_zero_and_weights_have_a_scale_per_channel(made: Quantised) -> None:
    values = constants(made.int8)
    for node, dequantise in pairs(made.int8):
        scale, zero = (values[name] for name in dequantise.input[1:])
        assert zero.dtype == np.int8
        assert not zero.any()
        if dequantise.input[0] in values:
            weights = values[dequantise.input[0]]
            assert scale.shape == (len(weights),)
            assert np.abs(weights).max() == 127
            assert dequantise.attribute[0].i == 0, node.name


def test_biases_stay_in_fp32(made: Quantised) -> None:
    """TensorRT refuses an INT32 bias behind a DequantizeLinear."""
    kinds = {t.data_type for t in made.int8.graph.initializer}
    assert kinds <= {TensorProto.INT8, TensorProto.FLOAT, TensorProto.INT64}
    biased = [n for n in made.int8.graph.node if n.op_type == "Conv" and len(n.input) == 3]
    assert len(biased) == 27
    assert all(constants(made.int8)[n.input[2]].dtype == np.float32 for n in biased)


def test_normalisation_and_softmax_are_not_rounded(made: Quantised) -> None:
    for model in (made.int8, made.cpu):
        made_by = producers(model)
        for node in model.graph.node:
            if node.op_type in ("Add", "Transpose", "Cast", "Softmax"):
                assert "DequantizeLinear" not in {
                    made_by[name].op_type for name in node.input if name in made_by
                }


def test_a_value_is_rounded_behind_its_activation_and_not_before(made: Quantised) -> None:
    made_by = producers(made.int8)
    rounded = [n for n in made.int8.graph.node if n.op_type == "QuantizeLinear"]
    before = {made_by[node.input[0]].op_type for node in rounded}
    assert before == {"Add", "Clip", "Reshape"}


def test_the_graph_for_cpus_has_seven_bits_of_weights_and_no_clip(made: Quantised) -> None:
    values = constants(made.cpu)
    weights = [v for v in values.values() if v.dtype == np.int8 and v.ndim > 1]
    assert len(weights) == 28
    assert max(np.abs(w).max() for w in weights) <= 64
    kinds = [node.op_type for node in made.cpu.graph.node]
    assert "Clip" not in kinds  # the zero point and the range cut instead
    assert any(v.dtype == np.uint8 and v.any() for v in values.values())  # a zero point


def test_names_and_metadata_are_those_of_the_fp32_graph(made: Quantised) -> None:
    for model in (made.int8, made.cpu):
        assert model.producer_name == "edgecnn"
        assert model.metadata_props == made.whole.metadata_props
        assert [o.domain for o in model.opset_import] == [""]
        assert {layer.name for layer in layers(made.whole)} <= {n.name for n in model.graph.node}
    assert made.int8.ByteSize() < 0.4 * made.whole.ByteSize()


def test_a_layer_that_is_kept_reads_what_it_read_before(made: Quantised) -> None:
    name = "features.3.1.0/Conv"
    model = quantize(made.whole, made.ranges, keep=[name])
    (kept,) = (n for n in model.graph.node if n.name == name)
    (before,) = (n for n in made.whole.graph.node if n.name == name)
    assert kept.input == before.input
    assert len({node.name for node, _ in pairs(model)}) == 27


def test_with_all_layers_kept_the_graph_answers_as_before(made: Quantised) -> None:
    names = [layer.name for layer in layers(made.whole)]
    for kind in KINDS:
        model = quantize(made.whole, made.ranges, kind, keep=names)
        apart = run_all(model, made.inputs, kind) - run_all(made.whole, made.inputs)
        assert np.abs(apart).max() < 1e-5


def test_the_rounded_graphs_decide_as_the_fp32_graph(made: Quantised) -> None:
    whole = run_all(made.whole, made.inputs)
    for model, kind in ((made.int8, "int8"), (made.cpu, "int8-cpu")):
        answers = run_all(model, made.inputs, kind)
        assert (answers.argmax(1) == whole.argmax(1)).mean() > 0.97
        assert np.abs(answers - whole).max() > 1e-4


def test_tensorrt_compiles_a_graph_whose_branches_read_the_same_values() -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    source = open_source("squeezenet1_1", Options(random=True, resolution=(64, 64)))
    graph = source.graph(DEFAULT)
    images = material(source.spec, None, 4, held_out(graph, source.spec, source.labels, None))
    values = collect(graph, tensors(layers(graph), "int8"), images.inputs)
    model = quantize(graph, ranges(values, "minmax", 127))
    compiler = find_compiler("tensorrt-rtx")
    engine = build_engine(compiler, model.SerializeToString(), "sm86", BuildOptions())
    assert len(engine) > source.model.parameters
