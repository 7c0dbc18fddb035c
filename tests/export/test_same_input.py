"""Validation, `evaluate`, calibration, parity and the device are fed the very same bytes.

The arrays are taken where they are consumed, from what a network or a session is given, on over a
thousand real crops at odd sizes, in every resize mode and interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from lightning import Trainer
from numpy.typing import NDArray
from torch import nn

from edgecnn.commands.train import describe
from edgecnn.data import colour_crops, load_data
from edgecnn.data.splits import some_frames
from edgecnn.evaluation.predict import in_bundle, in_pytorch, predict_all
from edgecnn.training.loading import loaders
from edgecnn.training.module import Classification
from edgecnn_export import precisions
from edgecnn_export.int8 import Int8, Int8Options
from edgecnn_export.material import held_out, material
from edgecnn_export.parity import parity
from edgecnn_export.to_onnx import to_onnx
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.manifest import Input, Interpolation, Manifest, Model, OnnxArtifact, ResizeMode

Frame = NDArray[np.uint8]

PER_SETTING = 84  # of the twelve settings: 1,008 crops in all
COLOURS = (("rgb", False), ("bgr", True), ("gray", False), ("gray", True), ("bgr", False))
SETTINGS = [
    (resize, interpolation, *COLOURS[i % len(COLOURS)])
    for i, (resize, interpolation) in enumerate(
        product(get_args(ResizeMode), get_args(Interpolation))
    )
]


def crops(seed: int) -> list[Frame]:
    """Crops of colour photographs, of terrain and of digits, nearly all of another size."""
    rng = np.random.default_rng(seed)
    found = colour_crops(PER_SETTING - 34, seed)
    for name, count in (("terrain", 20), ("mnist5k", 14)):
        split = load_data(name).val
        for index in rng.integers(0, len(split), count):
            frame = split.frame(int(index))
            height, width = rng.integers(13, frame.shape[0], 2)
            found.append(frame[-height:, :width])
    return found


@dataclass(frozen=True)
class Crops:
    """A held-out split of these frames."""

    frames: list[Frame]

    @property
    def targets(self) -> NDArray[np.int64]:
        return np.arange(len(self.frames)) % 3

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int, rng: np.random.Generator | None = None) -> Frame:
        return self.frames[index]


class Recorder:
    """What PyTorch's network and ONNX Runtime's sessions were given since it was last read."""

    def __init__(self) -> None:
        self.arrays: list[Frame] = []

    def from_network(self, _: nn.Module, args: tuple[torch.Tensor]) -> None:
        levels = args[0] * 255  # mean 0 and std 1
        whole = levels.round()
        assert (levels - whole).abs().max() < 1e-3
        self.arrays.append(whole.permute(0, 2, 3, 1).numpy().astype(np.uint8))

    def from_session(self, feed: dict[str, Any]) -> None:
        assert feed["frames"].dtype == np.uint8
        self.arrays.append(feed["frames"].copy())

    def read(self) -> Frame:
        found, self.arrays = np.concatenate(self.arrays), []
        return found


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    run = onnxruntime.InferenceSession.run

    def recording(session: Any, names: Any, feed: dict[str, Any], *more: Any) -> Any:
        found.from_session(feed)
        return run(session, names, feed, *more)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", recording)
    monkeypatch.setattr(precisions, "RANGE_IMAGES", PER_SETTING)  # of which 64 are a sample
    return found


def spec_of(resize: str, interpolation: str, color: str, invert: bool) -> Input:
    """A contract of an odd size, and one that the recorder can look through."""
    channels = 1 if color == "gray" else 3
    fields: dict[str, Any] = {"resize": resize, "interpolation": interpolation}
    fields |= {"height": 37, "width": 45, "channels": channels, "color": color, "invert": invert}
    fields |= {"mean": (0.0,) * channels, "std": (1.0,) * channels, "border": 9}
    if resize in ("crop", "pad"):
        fields |= {"shorter_side": 41, "crop": (37, 45) if resize == "crop" else (31, 38)}
    return msgspec.convert(fields, Input)


def fed(recorder: Recorder, spec: Input, frames: list[Frame], graph: Path) -> dict[str, Frame]:
    """What each path feeds, by its name: uint8 (N, H, W, C)."""
    torch.manual_seed(0)
    size = nn.AdaptiveAvgPool2d(1)
    network = nn.Sequential(nn.Conv2d(spec.channels, 3, 3), size, nn.Flatten()).eval()
    labels = ("a", "b", "c")
    model = to_onnx(network, spec, labels)
    onnx.save(model, graph)
    network.register_forward_pre_hook(recorder.from_network)
    found = {}

    data = replace(load_data("terrain"), val=Crops(frames))
    run = msgspec.structs.replace(describe(data, "lenet5"), input=spec)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(Classification(network, run, 1), loaders(run, data)[1], verbose=False)
    found["validation"] = recorder.read()

    reference = predict_all(in_pytorch(network, spec), some_frames(data.val))
    found["evaluate a run"] = recorder.read()

    precisions.convert("fp16", model, spec, frames)
    found["ranges of FP16"] = recorder.read()

    images = replace(data, train=Crops(frames))
    judges = held_out(model, spec, labels, images)
    found["held-out images"] = recorder.read()
    options = Int8Options(calibration="minmax")
    Int8(model, material(spec, images, PER_SETTING, judges), ("int8",), options).make("int8")
    found["calibration"], found["judging INT8"] = np.split(recorder.read(), 2)

    assert parity(graph, spec, frames, reference).holds
    found["parity"] = recorder.read()

    with Classifier(_manifest(spec, graph), open_ort(graph, "onnxruntime")) as classify:
        predict_all(in_bundle(classify), some_frames(data.val))
        found["evaluate a bundle"] = recorder.read()
        for frame in frames:
            classify(frame)
        found["device"] = recorder.read()
    return found


def _manifest(spec: Input, graph: Path) -> Manifest:
    return Manifest(
        model=Model(name="small", resolution=(spec.height, spec.width), parameters=84),
        input=spec,
        labels=("a", "b", "c"),
        weights="random",
        artifacts=(OnnxArtifact(file=graph.name, sha256="0" * 64, bytes=1, precision="fp32"),),
    )


@pytest.mark.filterwarnings("ignore")  # Lightning's, of a validation without training
def test_a_thousand_crops_reach_every_consumer_bit_for_bit_alike(
    recorder: Recorder, tmp_path: Path
) -> None:
    seen, sizes = 0, set()
    for seed, setting in enumerate(SETTINGS):
        frames = crops(seed)
        found = fed(recorder, spec_of(*setting), frames, tmp_path / "graph.onnx")
        device = found["device"]
        assert device.dtype == np.uint8
        assert device.shape[:3] == (PER_SETTING, 37, 45)
        assert device.std(axis=(1, 2, 3)).min() > 0  # a photograph, not an empty picture
        for path, arrays in found.items():
            assert np.array_equal(arrays, device), (path, setting)
        seen += len(frames)
        sizes |= {frame.shape[:2] for frame in frames}
    assert seen > 1000
    assert len(sizes) > 800
