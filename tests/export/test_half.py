"""A graph in half precision: typed, with what does not fit left in FP32 and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.models import build
from edgecnn_export.export import export
from edgecnn_export.graph_file import write_graph
from edgecnn_export.half import to_half, too_large
from edgecnn_export.precisions import convert
from edgecnn_export.sources import Options, make_input, open_source
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run
from edgecnn_runtime.manifest import Input

LABELS = tuple("abcdefgh")


@pytest.fixture(scope="module")
def spec() -> Input:
    return make_input(Options(), (48, 48), 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def graph_of(network: nn.Module, spec: Input, **options: bool) -> onnx.ModelProto:
    return to_onnx(network.eval(), spec, LABELS, GraphOptions(**options))


def types(graph: onnx.ModelProto) -> dict[str, int]:
    """Element type of every value, by name."""
    proto = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    values = [*proto.input, *proto.output, *proto.value_info]
    constants = {i.name: i.data_type for i in proto.initializer}
    return {v.name: v.type.tensor_type.elem_type for v in values} | constants


@pytest.mark.parametrize(
    ("precision", "half"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)]
)
def test_the_network_is_half_and_its_ends_are_not(spec: Input, precision: str, half: int) -> None:
    torch.manual_seed(0)
    whole = graph_of(build("mobilenet_v3_small", num_classes=8), spec, logits=True)
    graph = to_half(whole, precision)
    proto, of = graph.graph, types(graph)
    for node in proto.node:
        kinds = {of[name] for name in (*node.input, *node.output) if name}
        if node.op_type in ("Conv", "Gemm", "HardSwish", "Mul", "GlobalAveragePool"):
            assert kinds == {half}, node.name
        elif node.op_type == "Softmax":
            assert kinds == {TensorProto.FLOAT}
    assert of["frames"] == TensorProto.UINT8
    assert of["probabilities"] == of["logits"] == TensorProto.FLOAT
    # One cast behind the normalisation and one before the softmax: not one more a layer.
    assert sum(node.op_type == "Cast" for node in proto.node) == 3
    assert graph.ByteSize() < 0.55 * whole.ByteSize()
    names = [i.name for i in whole.graph.initializer]
    assert {i.name for i in proto.initializer} == set(names)


def test_an_fp16_graph_answers_like_the_model_on_real_images(spec: Input, tmp_path: Path) -> None:
    bundle = tmp_path / "half.bundle"
    source = open_source("squeezenet1_1", Options(random=True, resolution=(64, 64)))
    result = export(source, bundle, precisions=("fp16", "fp32"))
    half, full = result.artifacts
    assert half.parity.top1_agreement >= 0.99
    assert 1e-9 < half.parity.max_abs < 1e-4 > full.parity.max_abs
    assert [a.precision for a in open_bundle(bundle).manifest.onnx] == ["fp16", "fp32"]
    assert run(["verify", str(bundle)]) == 0


class Loud(nn.Module):
    """A network whose middle does not fit into FP16, and whose answers do."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.loud, self.quiet = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 8, 1)
        with torch.no_grad():
            self.loud.weight *= gain
            self.quiet.weight /= gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.quiet(self.loud(self.first(x)).relu())).mean((2, 3))


def test_layers_that_would_overflow_stay_in_fp32_and_are_named(spec: Input, tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph, frames = graph_of(Loud(1e6), spec), colour_crops(16)
    made = convert("fp16", graph, spec, frames)
    assert made.kept == ("loud/Conv", "Relu", "quiet/Conv")
    of = types(made.graph)
    assert of["loud/Conv"] == of["Relu"] == TensorProto.FLOAT
    assert of["first/Conv"] == of["last/Conv"] == TensorProto.FLOAT16
    paths = {name: tmp_path / name for name in ("kept", "fp32")}
    for name, content in (("kept", made.graph), ("fp32", graph)):
        write_graph(content, paths[name])
    inputs = np.stack([frame[:48, :48] for frame in frames])
    answers = {name: open_ort(path, "onnxruntime").infer(inputs) for name, path in paths.items()}
    assert np.abs(answers["kept"] - answers["fp32"]).max() < 2e-3


def test_nothing_is_kept_in_fp32_where_everything_fits(spec: Input) -> None:
    torch.manual_seed(0)
    made = convert("fp16", graph_of(Loud(1.0), spec), spec, colour_crops(16))
    assert made.kept == ()


def test_a_weight_that_does_not_fit_is_found_without_an_image(spec: Input) -> None:
    network = Loud(1.0)
    with torch.no_grad():
        network.last.weight[0, 0] = 1e5
    assert too_large(graph_of(network, spec), {}) == ("last/Conv",)


def test_an_unknown_precision_is_met_with_the_nearest(refused: object, tmp_path: Path) -> None:
    line = refused(  # type: ignore[operator]
        "export", "lenet5", "--random", "--precision", "fp23", "--out", tmp_path / "x"
    )
    assert "unknown precision 'fp23'" in line
    assert not (tmp_path / "x").exists()
