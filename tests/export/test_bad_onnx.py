"""Somebody else's file that cannot be exported: one line, exit status 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecnn_export.export import export
from edgecnn_export.sources import Options, open_source
from edgecnn_runtime.bundle import open_bundle

OneLine = Callable[..., str]
Edit = Callable[[onnx.ModelProto], None]


def classifier(edit: Edit | None = None) -> onnx.ModelProto:
    """A convolution, its mean, and four logits of it: float (n, 3, 32, 32) -> (n, 4)."""
    rng = np.random.default_rng(0)
    shapes = {"conv": (8, 3, 3, 3), "weight": (8, 4)}
    constants = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "weight"], ["y"]),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph(nodes, "g", [image], [answer], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if edit:
        edit(model)
    return model


@pytest.fixture
def line(tmp_path: Path, refused: OneLine) -> Callable[..., str]:
    """Export a file that must be refused, and see that nothing was written."""

    def run(file: Path, *options: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        said = refused("export", file, *options, "--out", tmp_path / "new" / "b.bundle")
        assert sorted(tmp_path.rglob("*")) == before
        return said

    return run


def test_the_classifier_that_the_others_are_made_from_is_exported(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "x.onnx")
    result = export(open_source(str(tmp_path / "x.onnx"), Options()), tmp_path / "b")
    assert result.artifacts[0].parity.top1_agreement == 1.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; expected an ONNX graph"),
        (classifier().SerializeToString()[:300], "it is cut short or of another kind"),
        (b"<html>404</html>", "it is a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "'git lfs pull' fetches"),
        (b"PK\x03\x04 weights", "pass weights with --weights"),
        (np.random.default_rng(0).bytes(4000), "is not a readable ONNX graph"),
    ],
    ids=["empty", "cut", "page", "lfs", "zip", "noise"],
)
def test_a_file_that_is_no_graph(
    content: bytes, says: str, tmp_path: Path, line: Callable[..., str]
) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    assert says in line(tmp_path / "x.onnx")


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path, line: Callable[..., str]) -> None:
    (tmp_path / "folder.onnx").mkdir()
    assert "folder.onnx is a folder; expected an ONNX file" in line(tmp_path / "folder.onnx")
    assert "no file" in line(tmp_path / "none.onnx")


def opset(version: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    return edit


def newer_format(model: onnx.ModelProto) -> None:
    model.ir_version = 1000


def no_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].domain = "ai.onnx.ml"


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Konv"


def operator_of_others(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("acme", 1))
    model.graph.node[0].domain = "acme"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (opset(99), f"is of opset 99, onnx {onnx.__version__} reads up to"),
        (newer_format, "is of IR version 1000"),
        (no_opset, "names no opset of ONNX"),
        (unknown_operator, "is not a valid ONNX graph: No Op registered for Konv"),
        (operator_of_others, "cannot be run by ONNX Runtime"),
    ],
)
def test_a_graph_from_the_future_or_of_others(
    edit: Edit, says: str, tmp_path: Path, line: Callable[..., str]
) -> None:
    onnx.save(classifier(edit), tmp_path / "x.onnx")
    assert says in line(tmp_path / "x.onnx")


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))


def second_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, ["n", 8]))


def channels_last(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Transpose", ["h"], ["x"], perm=[0, 3, 1, 2]))
    image = helper.make_tensor_value_info("h", TensorProto.FLOAT, ["n", 32, 32, 3])
    model.graph.input[0].CopyFrom(image)


def ends_with(*nodes: onnx.NodeProto, kind: int = TensorProto.FLOAT) -> Edit:
    """Something behind the logits, which are called `y`; what answers is called `z`."""

    def edit(model: onnx.ModelProto) -> None:
        model.graph.node.extend(nodes)
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", kind, ["n", None]))

    return edit


def segments(model: onnx.ModelProto) -> None:
    del model.graph.node[1:]
    maps = helper.make_tensor_value_info("c", TensorProto.FLOAT, ["n", 8, None, None])
    model.graph.output[0].CopyFrom(maps)


def tokens(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Cast", ["ids"], ["x"], to=TensorProto.FLOAT))
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 3, 32, 32])
    model.graph.input[0].CopyFrom(ids)


def sequence(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("SequenceConstruct", ["y"], ["z"]))
    element = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 4])
    kind = helper.make_sequence_type_proto(element)
    model.graph.output[0].CopyFrom(helper.make_value_info("z", kind))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (second_input, "has 2 inputs and 1 outputs; expected one image"),
        (second_output, "has 1 inputs and 2 outputs; expected one image"),
        (channels_last, "takes FLOAT ?x32x32x3; expected FLOAT Nx3xHxW or Nx1xHxW: channels come"),
        (tokens, "takes INT64 ?x3x32x32; expected FLOAT"),
        (segments, "answers with a tensor of (1, 8, 30, 30); expected float (N, classes)"),
        (
            ends_with(helper.make_node("ArgMax", ["y"], ["z"], axis=1), kind=TensorProto.INT64),
            "answers with int64; expected float (N, classes)",
        ),
        (
            ends_with(helper.make_node("ReduceMax", ["y"], ["z"], axes=[1])),
            "answers with one number",
        ),
        (ends_with(helper.make_node("Sigmoid", ["y"], ["z"])), "ends with a sigmoid"),
        (sequence, "answers with list; expected float (N, classes)"),
    ],
)
def test_a_graph_that_is_no_classifier(
    edit: Edit, says: str, tmp_path: Path, line: Callable[..., str]
) -> None:
    onnx.save(classifier(edit), tmp_path / "x.onnx")
    assert says in line(tmp_path / "x.onnx")


def test_a_graph_that_answers_with_nan(tmp_path: Path, refused: OneLine) -> None:
    edit = ends_with(helper.make_node("Sqrt", ["y"], ["z"]))
    onnx.save(classifier(edit), tmp_path / "x.onnx")
    line = refused("export", tmp_path / "x.onnx", "--out", tmp_path / "b", status=1)
    assert "with NaN or infinity" in line
    assert not (tmp_path / "b").exists()


def test_a_size_that_the_graph_cannot_take(tmp_path: Path, line: Callable[..., str]) -> None:
    def any_size(model: onnx.ModelProto) -> None:
        for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.dim_param = "side"

    onnx.save(classifier(any_size), tmp_path / "any.onnx")
    onnx.save(classifier(), tmp_path / "x.onnx")
    assert "name one with --resolution" in line(tmp_path / "any.onnx")
    assert "cannot be run on an image of 1x3x2x2" in line(tmp_path / "any.onnx", "--resolution", 2)
    said = line(tmp_path / "x.onnx", "--resolution", 64)
    assert "takes 32x32, --resolution says 64x64" in said


def test_a_wrong_count_of_labels(tmp_path: Path, line: Callable[..., str]) -> None:
    onnx.save(classifier(), tmp_path / "x.onnx")
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    said = line(tmp_path / "x.onnx", "--labels", tmp_path / "labels.txt")
    assert "2 labels for" in said
    assert "which answers with 4; expected one a class" in said


@pytest.fixture
def with_data(tmp_path: Path) -> Path:
    """A graph whose weights lie in a file beside it: model/x.onnx and model/weights.bin."""
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(
        classifier(),
        folder / "x.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (folder / "weights.bin").stat().st_size > 500
    return folder / "x.onnx"


def relocate(file: Path, location: str) -> None:
    model = onnx.load(file, load_external_data=False)
    for tensor in model.graph.initializer:
        next(e for e in tensor.external_data if e.key == "location").value = location
    file.write_bytes(model.SerializeToString())


def test_data_beside_the_graph_comes_along(with_data: Path, tmp_path: Path) -> None:
    export(open_source(str(with_data), Options()), tmp_path / "b")
    (tmp_path / "model" / "weights.bin").unlink()
    bundle = open_bundle(tmp_path / "b")
    weights = onnx.load(bundle.file(bundle.onnx())).graph.initializer
    assert {w.name: list(w.dims) for w in weights}["weight"] == [8, 4]


def test_data_outside_of_its_folder_is_not_read(
    with_data: Path, tmp_path: Path, line: Callable[..., str]
) -> None:
    data = with_data.with_name("weights.bin")
    outside = data.rename(tmp_path / "weights.bin")
    for location in ("../weights.bin", str(outside), "a/../../weights.bin", "..\\weights.bin"):
        relocate(with_data, location)
        assert f"in {location!r}, outside of its folder" in line(with_data)
    relocate(with_data, "weights.bin")
    assert "in 'weights.bin', which is missing" in line(with_data)
    data.symlink_to(outside)
    assert "in 'weights.bin', a link out of its folder" in line(with_data)


def test_data_that_is_cut_short(with_data: Path, line: Callable[..., str]) -> None:
    data = with_data.with_name("weights.bin")
    data.write_bytes(data.read_bytes()[:-40])
    assert "x.onnx is not a valid ONNX graph" in line(with_data)


def test_data_of_a_constant_inside_of_a_node_is_not_read_from_outside_either(
    tmp_path: Path, line: Callable[..., str]
) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value="../secret")
    node = helper.make_node("Constant", [], ["shift"], value=tensor)
    edit = ends_with(node, helper.make_node("Add", ["y", "shift"], ["z"]))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x.onnx").write_bytes(classifier(edit).SerializeToString())
    assert "outside of its folder" in line(tmp_path / "model" / "x.onnx")
