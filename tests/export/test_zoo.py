"""Every network of the zoo exports, answers as in PyTorch, and compiles in FP32 and FP16."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgecnn.models import ZOO, build, entry
from edgecnn.models.layers import random_statistics
from edgecnn.training.inputs import to_tensor
from edgecnn_export.half import to_half
from edgecnn_export.sessions import run_graph
from edgecnn_export.sources import Options, make_input
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import find_compiler
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_runtime.manifest import Input

QUICK = (
    "neocognitron", "lenet5", "lenet5_modern", "googlenet", "resnet18", "densenet121",
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "squeezenet1_1",
)  # fmt: skip
CASES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]


class Exported:
    """A network with random weights, a bit above its smallest resolution, and its graph."""

    def __init__(self, name: str) -> None:
        row = entry(name)
        side = row.smallest + 1
        torch.manual_seed(0)
        self.network: nn.Module = build(name).eval()
        channels = row.channels
        random_statistics(self.network, (channels, side, side))
        self.spec: Input = make_input(
            Options(), (side, side), channels, (0.4,) * channels, (0.25,) * channels
        )
        labels = tuple(f"class {i}" for i in range(row.classes))
        self.graph = to_onnx(self.network, self.spec, labels, GraphOptions(logits=True))


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest) -> Exported:
    return Exported(request.param)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_logits_are_those_of_pytorch(exported: Exported, batch: int) -> None:
    spec = exported.spec
    shape = (batch, spec.height, spec.width, spec.channels)
    frames = np.random.default_rng(batch).integers(0, 256, shape, dtype=np.uint8)
    with torch.no_grad():
        expected = exported.network(to_tensor(torch.from_numpy(frames), spec)).numpy()
    probabilities, logits = run_graph(exported.graph, frames)
    assert expected.std() > 0
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.abs(probabilities.sum(1) - 1).max() < 1e-5


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_is_compiled_without_a_gpu(exported: Exported, precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    graph = exported.graph if precision == "fp32" else to_half(exported.graph)
    compiler, content = find_compiler("tensorrt-rtx"), graph.SerializeToString()
    engine = build_engine(compiler, content, "sm86", BuildOptions())
    weights = sum(p.numel() for p in exported.network.parameters())
    assert len(engine) > weights  # at least half of what they take in FP16
