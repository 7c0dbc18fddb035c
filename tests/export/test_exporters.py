"""PyTorch has two exporters: the first whose graph gives the network's answers is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn_export.export import export
from edgecnn_export.random_weights import randomise
from edgecnn_export.sources import Options, Source, make_input, numbered, open_source, torch_source
from edgecnn_export.to_onnx import ExportError, GraphOptions, what_it_said
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import CheckFailedError, InputError

End = Callable[[torch.Tensor], torch.Tensor]


class _Small(nn.Module):
    """Five classes of two blocks; `end` stands before the classifier."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Linear(8, 5)
        self.end = end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.end(self.block(x).mean((2, 3))))
        return logits


def _plain(x: torch.Tensor) -> torch.Tensor:
    return x


def _asinh(x: torch.Tensor) -> torch.Tensor:
    """An operator that ONNX has and the TorchScript exporter does not know."""
    return torch.asinh(x)


def _cheap_in_a_trace(x: torch.Tensor) -> torch.Tensor:
    """Another way for TorchScript, as some networks have, which here is not the same."""
    return x if torch.jit.is_tracing() else x * x


def _depends_on_the_picture(x: torch.Tensor) -> torch.Tensor:
    """A trace has the branch of its black example alone; and the newer exporter refuses."""
    return x * 3 if float(x.mean()) < 0.6 else x


def _source(end: End = _plain) -> Source:
    torch.manual_seed(0)
    network = _Small(end)
    spec = make_input(Options(), (48, 48), 3, (0.5,) * 3, (0.25,) * 3)
    randomise(network, spec)
    return torch_source(network.eval(), spec, numbered(5), name="small", weights="random")


def _answers_of_pytorch(bundle: Path, source: Source) -> float:
    """The largest difference on one frame, and on three at once."""
    frames = colour_crops(3)
    with Classifier.open(bundle) as classify:
        together = classify.probabilities(frames)
        alone = np.concatenate([classify.probabilities([frame]) for frame in frames])
    expected = source.predict(frames)
    return float(max(np.abs(together - expected).max(), np.abs(alone - expected).max()))


@pytest.mark.parametrize("end", [_asinh, _cheap_in_a_trace])
def test_the_newer_exporter_stands_in_where_the_older_one_fails_or_is_wrong(
    end: End, tmp_path: Path
) -> None:
    source = _source(end)
    result = export(source, tmp_path / "b")
    assert result.exporter == "dynamo"
    made = open_bundle(tmp_path / "b").manifest.provenance
    assert made["exporter"]["name"] == "dynamo"
    said = made["exporter"]["remarks"][0]
    assert said.startswith("dynamo was used, since torchscript failed: ")
    assert ("asinh" if end is _asinh else "they differ by") in said
    assert made["opset"] == 17
    assert _answers_of_pytorch(tmp_path / "b", source) < 1e-5


def test_a_plain_network_is_the_older_exporters_and_has_nothing_to_remark(tmp_path: Path) -> None:
    result = export(_source(), tmp_path / "b")
    assert (result.exporter, result.remarks) == ("torchscript", ())
    assert open_bundle(tmp_path / "b").manifest.provenance["exporter"]["name"] == "torchscript"


def test_the_newer_exporters_graph_has_the_names_and_the_opset_of_the_older_ones(
    tmp_path: Path,
) -> None:
    source = _source()
    for exporter in ("torchscript", "dynamo"):
        export(source, tmp_path / exporter, exporter=exporter)
    older, newer = (
        onnx.load(tmp_path / name / "model.fp32.onnx") for name in ("torchscript", "dynamo")
    )
    assert newer.opset_import[0].version == older.opset_import[0].version == 17
    kinds = [node.op_type for node in newer.graph.node]
    assert kinds == [node.op_type for node in older.graph.node]
    assert "classifier/Gemm" in {node.name for node in newer.graph.node}
    assert {"classifier.weight", "classifier.bias"} <= {i.name for i in newer.graph.initializer}
    shapes = [d.dim_param or d.dim_value for d in newer.graph.input[0].type.tensor_type.shape.dim]
    assert shapes == ["batch", 48, 48, 3]
    assert b"test_exporters" not in newer.SerializeToString()  # no path of the source code


def test_an_operator_without_an_older_form_keeps_its_opset_and_says_so(tmp_path: Path) -> None:
    result = export(_source(nn.Mish()), tmp_path / "b", exporter="dynamo")
    written = onnx.load(tmp_path / "b" / "model.fp32.onnx")
    assert "Mish" in {node.op_type for node in written.graph.node}
    assert written.opset_import[0].version == 18
    assert result.remarks[0].startswith("opset 18, since this graph has no form in opset 17")


def test_a_network_that_no_exporter_renders_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError) as error:
        export(_source(_depends_on_the_picture), tmp_path / "b")
    said = str(error.value)
    assert "\n" not in said
    assert "torchscript: the fp32 graph does not give the model's answers" in said
    assert "dynamo: PyTorch cannot export this network: " in said
    assert list(tmp_path.iterdir()) == []


def test_one_exporter_can_be_asked_for_and_is_then_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="asinh"):
        export(_source(_asinh), tmp_path / "b", exporter="torchscript")
    with pytest.raises(InputError, match="did you mean 'dynamo'"):
        export(_source(), tmp_path / "b", exporter="dynamoo")
    with pytest.raises(InputError, match="did you mean 'torchscript'"):
        GraphOptions(exporter="torchscrip")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_was_exported_already_leaves_no_choice(tmp_path: Path) -> None:
    torch.onnx.export(
        _source().network,
        (torch.zeros(1, 3, 48, 48),),
        str(tmp_path / "theirs.onnx"),
        dynamo=False,
        opset_version=17,
    )
    source = open_source(str(tmp_path / "theirs.onnx"), Options())
    with pytest.raises(InputError, match="exported already"):
        export(source, tmp_path / "b", exporter="dynamo")
    export(source, tmp_path / "b")
    assert "exporter" not in open_bundle(tmp_path / "b").manifest.provenance


def test_what_pytorch_says_is_cut_to_its_sense() -> None:
    error = RuntimeError("Unsupported: this.  [Caused by the value '1 defined in (%1)\nand more")
    assert what_it_said(error) == "Unsupported: this."
    assert what_it_said(RuntimeError("Failed. \x1b[96mThis is step 3/3\x1b[0m of it")) == "Failed."
