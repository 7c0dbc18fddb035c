"""What is not written: a model that turns to NaN, or that decides otherwise in its precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest
import torch
from torch import nn

from edgecnn.evaluation.predict import in_pytorch
from edgecnn_export.export import export
from edgecnn_export.half import to_half
from edgecnn_export.sources import Options, Source, make_input
from edgecnn_export.to_onnx import to_onnx
from edgecnn_runtime.bundle import open_bundle, write_manifest
from edgecnn_runtime.errors import CheckFailedError
from edgecnn_runtime.manifest import Model

OneLine = Callable[..., str]
Rewrite = Callable[..., None]
LABELS = ("a", "b", "c", "d")


class Small(nn.Module):
    """Four classes from the mean of four features; `end` is what makes the answers of them."""

    def __init__(self, end: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features, self.end = nn.Conv2d(3, 4, 5, stride=3), end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.features(x).mean((2, 3)))


def roots(x: torch.Tensor) -> torch.Tensor:
    """Not a number where a feature is below zero: on some photographs."""
    return x.sqrt()


def unit(x: torch.Tensor) -> torch.Tensor:
    """A layer norm with too small a number in it: 1e-12 is zero in FP16, and 0/0 not a number."""
    small = x * 1e-6
    return 5 * small / (small * small).sum(1, keepdim=True).sqrt()


def shifted(x: torch.Tensor) -> torch.Tensor:
    """The same decisions in FP32; in FP16 numbers near 4096 are four apart."""
    return x + 4096


def source(end: Callable[[torch.Tensor], torch.Tensor]) -> Source:
    network = Small(end).eval()
    spec = make_input(Options(), (48, 48), 3, (0.5,) * 3, (0.25,) * 3)
    return Source(
        model=Model(name="small", resolution=(48, 48), parameters=304),
        spec=spec,
        labels=LABELS,
        weights="random",
        predict=in_pytorch(network, spec),
        graph=lambda options: to_onnx(network, spec, LABELS, options),
    )


@pytest.mark.parametrize(
    ("end", "precision", "says"),
    [
        (roots, "fp32", r"the reference answers frame \d+ with NaN or infinity"),
        (unit, "fp16", r"it answers frame \d+ with NaN or infinity"),
        (shifted, "fp16", r"top-1 agreement 0\.\d+ \(limit 0.99\)"),
    ],
)
def test_what_is_not_a_number_or_decides_otherwise_is_not_written(
    end: Callable[[torch.Tensor], torch.Tensor], precision: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckFailedError, match=f"the {precision} graph .*{says}.* was not written"):
        export(source(end), tmp_path / "b", precisions=("fp32", "fp16"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (unit, "it answers frame 0 with NaN or infinity"),
        (shifted, "top-1 agreement is 0."),
    ],
)
@pytest.mark.parametrize("data", [(), ("terrain",)])
def test_verify_finds_it_in_a_bundle_that_was_written_all_the_same(
    end: Callable[[torch.Tensor], torch.Tensor],
    says: str,
    data: tuple[str, ...],
    tmp_path: Path,
    rewrite: Rewrite,
    refused: OneLine,
) -> None:
    bundle = tmp_path / "b"
    export(source(end), bundle)
    whole = onnx.load(bundle / "model.fp32.onnx")
    rewrite(bundle, {"model.fp32.onnx": to_half(whole).SerializeToString()})
    manifest = open_bundle(bundle).manifest
    artifact = msgspec.structs.replace(manifest.onnx[0], precision="fp16")
    write_manifest(bundle, msgspec.structs.replace(manifest, artifacts=(artifact,)))
    assert f"model.fp32.onnx: other answers than expected: {says}" in refused(
        "verify", bundle, *data, status=1
    )
