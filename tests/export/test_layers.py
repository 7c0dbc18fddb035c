"""Layers export to ONNX, and ONNX Runtime gives PyTorch's answers at other batches."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgecnn.data import load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import in_pytorch, predict_all
from edgecnn.models import layers as ours
from edgecnn.training.inputs import input_for
from edgecnn_export.outputs import inputs_of, outputs_of
from edgecnn_export.sessions import float_session
from edgecnn_export.to_onnx import seal, to_onnx, trace
from edgecnn_runtime.backends.ort import open_ort

SHAPE = (4, 12, 14)


class RoundTrip(nn.Module):
    """Pool, unpool and go back by a transposed convolution, as a DeconvNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = ours.SwitchPool2d(3, stride=2), ours.Unpool2d()
        self.back = nn.ConvTranspose2d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled, switches = self.pool(x)
        out: torch.Tensor = self.back(self.unpool(pooled, switches, x.shape))
        return out


def residual() -> nn.Module:
    body = nn.Sequential(ours.ConvBN(4, 6, stride=2), ours.ConvBN(6, 8, activation=None))
    return ours.Residual(body, ours.ConvBN(4, 8, 1, 2, activation=None), nn.ReLU())


LAYERS: dict[str, nn.Module] = {
    # pooling and the way back
    "average": ours.LpPool2d(1, 2),
    "l2": ours.LpPool2d(2, 2),
    "l3 overlapping": ours.LpPool2d(3, 3, 2),
    "l20": ours.LpPool2d(20, 3, 2),
    "max": ours.LpPool2d(math.inf, 3, 2),
    "max of a grid": nn.MaxPool2d(2),
    "max rounded up": nn.MaxPool2d(3, 2, ceil_mode=True),
    "dilation": ours.GreyDilation(3),
    "striding": ours.Striding(2),
    "subsampling": ours.Subsampling(4),
    "adaptive pooling": ours.AdaptivePool(5),
    "adaptive pooling that divides": ours.AdaptivePool(2),
    "round trip": RoundTrip(),
    "transposed convolution": nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1),
    # activations, normalisation, outputs
    "maxout": ours.Maxout(2),
    "scaled tanh": ours.ScaledTanh(),
    "response norm": ours.LocalResponseNorm(),
    "batch norm and dropout": nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5)),
    "rbf": nn.Sequential(nn.Flatten(), ours.RBF(ours.random_codes(3, math.prod(SHAPE)))),
    # convolutions
    "strided convolution": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "1x1": nn.Conv2d(4, 2, 1),
    "local": ours.LocallyConnected2d(4, 2, SHAPE[1:], 3),
    "sparse": ours.SparseConv([(0, 1), (1, 2, 3), (3,)], 4, 5),
    "convolution and relu": ours.ConvReLU(4, 6, 5, groups=2),
    "separable": ours.SeparableConv(4, 6, stride=2),
    # blocks
    "inception": ours.Inception(4, (3, 2, 5, 2, 7, 4)),
    "residual": residual(),
    "dense": nn.Sequential(ours.DenseLayer(4, 3), ours.DenseLayer(7, 3)),
    "fire": ours.Fire(4, 2, 3),
    "fractal": ours.Fractal(4, 5, 3, dropout=0.3),
    "squeeze and excitation": ours.SqueezeExcitation(4, 2),
}


def export(layer: nn.Module) -> onnx.ModelProto:
    """As `edgecnn export` writes a network, constants folded."""
    axes = {"frames": {0: "batch"}, "y": {0: "batch"}}
    return seal(trace(layer, torch.randn(2, *SHAPE), ["y"], axes, 17), {})


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_exports_with_parity(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, path = LAYERS[name].eval(), tmp_path / "layer.onnx"
    for module in layer.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh statistics would hide a mistake
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    onnx.save(export(layer), path)
    run = float_session(path)
    for batch in (1, 3):
        x = torch.randn(batch, *SHAPE)
        x[0, :, :5] = 0  # whole windows of zeros
        with torch.no_grad():
            expected = layer(x).numpy()
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(run(x.numpy()), expected, atol=1e-5)


def test_a_network_of_ones_own_exports_from_frames_to_probabilities(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(1, 8, 5),  # 28
        ours.LocalResponseNorm(alpha=0.1),
        ours.Maxout(2),  # 4 maps
        ours.LpPool2d(3, 3, 2),  # 13, overlapping
        ours.Fire(4, 2, 4),
        ours.DenseLayer(8, 4),
        ours.Subsampling(12),  # 6
        ours.SeparableConv(12, 8),
        ours.Residual(ours.Fractal(8, 8, 2)),
        ours.SqueezeExcitation(8, 2),
    )
    codes = ours.random_codes(10, 8)
    network = ours.ConvNet(features, nn.Sequential(ours.ScaledTanh(), ours.RBF(codes))).eval()
    ours.he_init(network)
    data = load_data("mnist5k")
    spec = input_for(data, 32, 32, 1)
    onnx.save(to_onnx(network, spec, data.labels), tmp_path / "own.onnx")
    digits = list(some_frames(data.val, 30))
    backend = open_ort(tmp_path / "own.onnx", "onnxruntime")
    answers = outputs_of(backend, inputs_of(digits, spec)).probabilities
    expected = predict_all(in_pytorch(network, spec), digits)
    assert np.ptp(expected, axis=0).max() > 1e-3  # digits are told apart
    np.testing.assert_allclose(answers, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["l3 overlapping", "maxout", "response norm", "sparse"])
def test_a_layer_of_ours_computes_no_shapes_and_gathers_no_values(name: str) -> None:
    kinds = {node.op_type for node in export(LAYERS[name].eval()).graph.node}
    assert not kinds & {"Shape", "Gather", "GatherElements", "Loop", "If", "AveragePool"}
