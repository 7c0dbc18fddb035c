"""A network with its normalisation and softmax as one ONNX graph: uint8 frames in."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path

import msgspec
import onnx
import torch
from onnxscript import optimizer
from torch import nn

from edgecnn_runtime.errors import InputError
from edgecnn_runtime.manifest import Input

INPUT, OUTPUT = "frames", "probabilities"
OPSET = 17  # the newest that JetPack 6's TensorRT 10.3 is sure to parse
OPSETS = range(13, 21)


class Deployed(nn.Module):
    """Normalisation, network and softmax.

    Shape: uint8 (N, H, W, C) -> float32 (N, classes).
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, spec: Input) -> None:
        super().__init__()
        self.network = network
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", (1 / (255 * std))[:, None, None])
        self.register_buffer("shift", (-mean / std)[:, None, None])

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        # Cast first: TensorRT takes uint8 as an input and in no other layer.
        x = frames.float().permute(0, 3, 1, 2) * self.scale + self.shift  # (N, C, H, W)
        return torch.softmax(self.network(x), dim=1)


def to_onnx(network: nn.Module, spec: Input, labels: tuple[str, ...], opset: int = OPSET) -> bytes:
    """Export a classifier.

    PyTorch's TorchScript exporter is used: a tenth of the other's time, and it writes the opset
    that was asked for. What it writes is checked against PyTorch before anyone sees it.

    Args:
        network: float (N, C, H, W) -> logits (N, classes).
        opset: of ONNX; 17 by default.

    Returns:
        The serialised graph: `frames` uint8 (batch, H, W, C) -> `probabilities` (batch, classes).

    Raises:
        InputError: an opset out of range, or a network that PyTorch cannot export.
    """
    check_opset(opset)
    deployed = Deployed(network, spec).eval()
    example = torch.zeros(2, spec.height, spec.width, spec.channels, dtype=torch.uint8)
    model = trace(deployed, example, OUTPUT, {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}, opset)
    return finish(model, spec, labels)


def trace(
    module: nn.Module,
    example: torch.Tensor,
    output: str,
    open_axes: dict[str, dict[int, str]],
    opset: int,
) -> onnx.ModelProto:
    """Export a module of one input and one output, as PyTorch writes it.

    Args:
        open_axes: the axes of input and output that may have any size, by name.

    Raises:
        InputError: PyTorch cannot export it.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter speaks of its successor
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                module,
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=[output],
                dynamic_axes=open_axes,
                opset_version=opset,
                dynamo=False,
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"PyTorch cannot export this network: {reason}") from error
        return onnx.load(path)


def check_opset(opset: int) -> None:
    if opset not in OPSETS:
        raise InputError(
            f"opset {opset}; expected {OPSETS.start} to {OPSETS.stop - 1}, {OPSET} where JetPack 6"
            " is among the devices"
        )


def finish(model: onnx.ModelProto, spec: Input, labels: tuple[str, ...]) -> bytes:
    """Fold constants, check the graph, and put labels and preprocessing into its metadata.

    The metadata is for C++ users and viewers; the runtime reads the manifest.
    """
    entries = {
        "edgecnn.labels": json.dumps(labels, ensure_ascii=False),
        "edgecnn.input": msgspec.json.encode(spec).decode(),
    }
    return seal(model, entries)


def seal(model: onnx.ModelProto, entries: dict[str, str]) -> bytes:
    """Fold constants, check the graph, and set its metadata to these entries and no others."""
    model = optimizer.optimize(model)  # folds constants, removes dead nodes
    del model.metadata_props[:]
    model.producer_name = "edgecnn"
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data
