"""A graph in half precision: typed, with what does not fit left in FP32 and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.models import build
from edgecnn_export.emulate import emulate_half
from edgecnn_export.export import export
from edgecnn_export.graph_file import write_graph
from edgecnn_export.half import to_half, too_large
from edgecnn_export.precisions import convert
from edgecnn_export.sessions import run_graph
from edgecnn_export.sources import Options, make_input, open_source
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import Compiler, find_compiler
from edgecnn_export.tensorrt.engines import compile_bundle
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError, NoKernelError
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
        if node.op_type in ("Conv", "Gemm", "HardSwish", "HardSigmoid", "Mul"):
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


class Rare(nn.Module):
    """What TensorRT does not take in BF16: HardSwish, Mish and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.swish, self.mish = nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Mish()
        self.wider, self.last = nn.ConvTranspose2d(8, 8, 2, stride=2), nn.Conv2d(8, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.wider(self.mish(self.swish(self.first(x))))).mean((2, 3))


def test_bf16_leaves_what_tensorrt_lacks_in_fp32_and_names_it(spec: Input) -> None:
    torch.manual_seed(0)
    graph = graph_of(Rare(), spec)
    nodes = [n.op_type for n in graph.graph.node]
    made = convert("bf16", graph, spec, [])
    proto, of = made.graph.graph, types(made.graph)
    assert "HardSwish" in nodes
    assert "HardSwish" not in {n.op_type for n in proto.node}
    transposed = next(n for n in proto.node if n.op_type == "ConvTranspose")
    assert transposed.name in made.kept
    assert of[transposed.output[0]] == TensorProto.FLOAT
    convolutions = [n for n in proto.node if n.op_type == "Conv"]
    assert {of[n.output[0]] for n in convolutions} == {TensorProto.BFLOAT16}
    frames = np.stack([frame[:48, :48] for frame in colour_crops(4)])
    (emulated,), (full,) = run_graph(emulate_half(made.graph), frames), run_graph(graph, frames)
    assert 0 < np.abs(emulated - full).max() < 0.02


@pytest.mark.parametrize("network", [Rare(), build("mobilenet_v3_small", num_classes=8)])
def test_a_bf16_engine_is_compiled(network: nn.Module, spec: Input) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    content = to_half(graph_of(network, spec), "bf16").SerializeToString()
    engine = build_engine(find_compiler("tensorrt-rtx"), content, "sm80", BuildOptions())
    assert len(engine) > 2 * sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def bf16_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its first graph is in BF16, which no CPU of ONNX Runtime takes. No test changes it."""
    path = tmp_path_factory.mktemp("bundles") / "bf16.bundle"
    source = open_source("lenet5_modern", Options(random=True))
    result = export(source, path, precisions=("bf16", "fp32"))
    assert 0 < result.artifacts[0].parity.max_abs < 0.05
    return path


def test_a_bf16_graph_says_why_it_does_not_run_here(
    bf16_bundle: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(NoKernelError, match=r"model\.bf16\.onnx does not run here: CPUExec"):
        Classifier.open(bf16_bundle, backend="onnxruntime")
    line = refused("profile", bf16_bundle, "--backend", "onnxruntime", "--precision", "bf16")
    assert "take another graph with --precision" in line
    with Classifier.open(bf16_bundle, precision="fp32") as classify:
        assert len(classify(colour_crops(1)[0])) == 5
    for data in ([], ["mnist5k"]):
        result = tmp_path / "verify.json"
        assert run(["verify", str(bf16_bundle), *data, "--json", str(result)]) == 0
        bf16, fp32 = json.loads(result.read_text())["artifacts"]
        assert bf16["status"] == fp32["status"] == "agrees"  # emulated: no CPU runs it


def test_a_gpu_without_bf16_is_named_before_anything_is_compiled(bf16_bundle: Path) -> None:
    compiler = Compiler("tensorrt-rtx", "1.7.1", None)
    with pytest.raises(BackendError, match=r"sm80 or later, got sm75; leave that target out"):
        compile_bundle(open_bundle(bf16_bundle), compiler, ["sm75", "sm86"], BuildOptions())


def test_nodes_without_a_name_become_half_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["means"]),
        helper.make_node("Flatten", ["means"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "other", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "other.onnx")
    source = open_source(str(tmp_path / "other.onnx"), Options())
    made = convert("fp16", source.graph(GraphOptions()), source.spec, colour_crops(4))
    names = [node.name for node in made.graph.graph.node]
    assert made.kept == ()
    assert "" not in names
    assert len(set(names)) == len(names)
    assert types(made.graph)["positive"] == types(made.graph)["means"] == TensorProto.FLOAT16
