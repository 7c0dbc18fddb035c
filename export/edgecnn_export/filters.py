"""Write a bundle of a fixed filter, which answers with pictures, once its graph agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.filters import NamedFilter, named_filter
from edgecnn_export.agreement import PictureAgreement, compare_pictures
from edgecnn_export.export import COLOUR_CROPS, file_entry, made_with
from edgecnn_export.graph_file import write_graph
from edgecnn_export.pictures import batch_of, pictures_of
from edgecnn_export.sessions import INPUT
from edgecnn_export.to_onnx import OPSET, check_opset, seal, trace
from edgecnn_runtime.bundle import GoldenPictures, staged_folder, write_manifest
from edgecnn_runtime.errors import CheckFailedError
from edgecnn_runtime.manifest import (
    File,
    Filter,
    FrameInput,
    ImageManifest,
    OnnxArtifact,
    Picture,
)
from edgecnn_runtime.preprocess import preprocess_frame

Frame = NDArray[np.uint8]

OUTPUT = "pictures"
GOLDEN = 16


class FilterGraph(nn.Module):
    """A filter between the frame's grey levels and the picture's, as `manifest.Picture` says.

    Shape: uint8 (N, H, W, C) -> uint8 (N, H', W', C).
    """

    def __init__(self, module: nn.Module, picture: Picture) -> None:
        super().__init__()
        self.module, self.picture = module, picture

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = frames.float().permute(0, 3, 1, 2) / 255  # (N, C, H, W)
        levels: torch.Tensor = self.module(x) * self.picture.scale + self.picture.offset
        return levels.round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


def picture_of(row: NamedFilter) -> Picture:
    """How a named filter's response becomes grey levels."""
    scale = 255 / (row.white - row.black)
    offset = -row.black * scale
    return Picture(channels=_channels(row), color=row.color, scale=scale, offset=offset)


def filter_to_onnx(
    module: nn.Module, spec: FrameInput, picture: Picture, opset: int
) -> onnx.ModelProto:
    """Export a filter: `frames` uint8 (batch, H, W, C) of any size -> `pictures` uint8.

    Raises:
        InputError: an opset out of range, or a module that PyTorch cannot export.
    """
    check_opset(opset)
    example = torch.zeros(2, 64, 96, spec.channels, dtype=torch.uint8)
    open_axes = {
        INPUT: {0: "batch", 1: "height", 2: "width"},
        OUTPUT: {0: "batch", 1: "out_height", 2: "out_width"},
    }
    graph = FilterGraph(module, picture).eval()
    entries = {"edgecnn.input": spec, "edgecnn.picture": picture}
    return seal(
        trace(graph, example, [OUTPUT], open_axes, opset),
        {name: msgspec.json.encode(entry).decode() for name, entry in entries.items()},
    )


@dataclass(frozen=True)
class PictureFigures:
    """Of a filter's graph against PyTorch: largest difference in levels of 255, share of equals."""

    max_abs: float
    equal: float
    frames: int


@dataclass(frozen=True)
class ExportedFilter:
    """The graph of the bundle."""

    file: str
    precision: str
    bytes: int
    parity: PictureFigures


@dataclass(frozen=True)
class FilterExport:
    """What `edgecnn export filter:NAME` answers with."""

    bundle: str
    weights: str
    artifacts: list[ExportedFilter]


def export_filter(
    name: str,
    out: Path,
    *,
    settings: Mapping[str, float] | None = None,
    opset: int = OPSET,
    crops: int = COLOUR_CROPS,
) -> FilterExport:
    """Export a named filter into a bundle.

    Args:
        name: one of `FILTERS`.
        settings: those that are to be others than its row says.
        crops: colour crops, each of its own size, on which its graph must agree with PyTorch.

    Raises:
        CheckFailedError: the graph does not give PyTorch's pictures; nothing is written.
        InputError: no such filter or setting, or `out` holds something else.
    """
    row = named_filter(name)
    settings = row.complete(settings or {})
    module = row.build(**settings).eval()
    spec = FrameInput(channels=_channels(row), color=row.color)
    picture = picture_of(row)
    frames = colour_crops(crops)
    with staged_folder(out, marker="manifest.json") as staging:
        graph, golden = staging / "model.fp32.onnx", staging / "golden.npz"
        write_graph(filter_to_onnx(module, spec, picture, opset), graph)
        small = tuple(f[: 150 + i, : 200 - i] for i, f in enumerate(frames[:GOLDEN]))
        pictures = tuple(in_pytorch(module, spec, picture, small))
        golden.write_bytes(GoldenPictures(small, pictures).to_bytes())
        manifest = ImageManifest(
            model=Filter(name=name, help=row.describe(**settings)),
            input=spec,
            picture=picture,
            artifacts=(OnnxArtifact(**file_entry(graph), precision="fp32"),),
            golden=File(**file_entry(golden)),
            provenance={"filter": name, "settings": settings, **made_with(opset)},
        )
        agreement = _parity(graph, manifest, module, frames)
        if not agreement.holds:
            raise CheckFailedError(
                f"the ONNX graph does not give the filter's pictures: {agreement}; {out} was not"
                " written"
            )
        figures = PictureFigures(agreement.levels, agreement.equal, agreement.frames)
        manifest.provenance["parity"] = {
            "colour_crops": crops,
            "max_abs": figures.max_abs,
            "equal": figures.equal,
        }
        write_manifest(staging, manifest)
    size = manifest.artifacts[0].bytes
    exported = ExportedFilter("model.fp32.onnx", "fp32", size, figures)
    return FilterExport(str(out), manifest.weights, [exported])


def in_pytorch(
    module: nn.Module, spec: FrameInput, picture: Picture, frames: Sequence[Frame]
) -> list[Frame]:
    """A filter's pictures of raw frames, each of its own size."""
    graph = FilterGraph(module, picture).eval()
    with torch.inference_mode():
        inputs = (torch.from_numpy(preprocess_frame(f.copy(), spec))[None] for f in frames)
        return [graph(x)[0].numpy() for x in inputs]


def _parity(
    graph: Path, manifest: ImageManifest, module: nn.Module, frames: Sequence[Frame]
) -> PictureAgreement:
    """Each frame alone, and three of one size as a batch."""
    reference = in_pytorch(module, manifest.input, manifest.picture, frames)
    agreement = compare_pictures(reference, pictures_of(graph, manifest, frames, "onnxruntime"))
    batch = [frame[:97, :97] for frame in frames[:3]]
    alone = in_pytorch(module, manifest.input, manifest.picture, batch)
    together = compare_pictures(alone, batch_of(graph, manifest, batch))
    return agreement if together.holds else together


def _channels(row: NamedFilter) -> Literal[1, 3]:
    return 1 if row.color == "gray" else 3
