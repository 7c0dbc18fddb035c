"""The ingredients export to ONNX, and ONNX Runtime gives PyTorch's answers at another batch."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgecnn.ingredients import (
    GreyDilation,
    LocallyConnected2d,
    LocalResponseNorm,
    LpPool2d,
    Maxout,
    Striding,
    SwitchPool2d,
    Unpool2d,
)
from edgecnn_export.sessions import float_session


class RoundTrip(nn.Module):
    """Pool, unpool and go back by a transposed convolution, as a DeconvNet does."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.unpool = SwitchPool2d(3, stride=2), Unpool2d()
        self.back = nn.ConvTranspose2d(4, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled, switches = self.pool(x)
        out: torch.Tensor = self.back(self.unpool(pooled, switches, x.shape))
        return out


LAYERS: dict[str, nn.Module] = {
    "average": LpPool2d(1, 2),
    "l3": LpPool2d(3, 3, 2),
    "max": LpPool2d(math.inf, 3, 2),
    "dilation": GreyDilation(3),
    "striding": Striding(2),
    "maxout": Maxout(2),
    "response norm": LocalResponseNorm(),
    "local": LocallyConnected2d(4, 2, (12, 14), 3),
    "round trip": RoundTrip(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_an_ingredient_exports_with_parity(name: str, tmp_path: Path) -> None:
    layer, path = LAYERS[name].eval(), tmp_path / "layer.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            layer,
            (torch.randn(2, 4, 12, 14),),
            str(path),
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    run = float_session(path)
    for batch in (1, 3):
        x = torch.randn(batch, 4, 12, 14)
        with torch.no_grad():
            expected = layer(x).numpy()
        np.testing.assert_allclose(run(x.numpy()), expected, atol=1e-5)
