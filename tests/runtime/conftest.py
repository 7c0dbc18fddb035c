"""Real photographs, a real ONNX graph of three classes, and a bundle of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skimage import data

from edgecnn_runtime.bundle import Golden, GoldenPictures, staged_folder, write_manifest
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.manifest import (
    File,
    Filter,
    FrameInput,
    ImageManifest,
    Input,
    Manifest,
    Model,
    OnnxArtifact,
    Picture,
)
from edgecnn_runtime.preprocess import preprocess, preprocess_frame

LABELS = ("red", "green", "blue")
MakeBundle = Callable[..., Path]


@pytest.fixture(scope="session")
def photographs() -> dict[str, NDArray[np.uint8]]:
    """Colour photographs as a camera gives them: uint8 BGR, of different sizes."""
    images = {n: getattr(data, n)() for n in ("astronaut", "coffee", "chelsea", "rocket")}
    return {name: np.ascontiguousarray(rgb[:, :, ::-1]) for name, rgb in images.items()}


def which_colour(height: int, width: int) -> bytes:
    """A graph that tells which of red, green and blue is the brightest: NHWC uint8 RGB in."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["n", height, width, 3])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])
    weight = numpy_helper.from_array(np.eye(3, dtype=np.float32) / 8, "weight")
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(nodes, "which_colour", [frames], [answer], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def make_bundle(photographs: dict[str, NDArray[np.uint8]]) -> MakeBundle:
    """Write a bundle: make_bundle(path, weights=..., **fields of the manifest's input)."""

    def make(path: Path, *, weights: str = "trained", **changes: Any) -> Path:
        fields: dict[str, Any] = {
            **{"height": 32, "width": 32, "channels": 3, "color": "rgb"},
            **{"shorter_side": 36, "crop": (32, 32), "mean": (0.0,) * 3, "std": (1.0,) * 3},
            **changes,
        }
        spec = Input(**fields)
        graph = which_colour(spec.height, spec.width)
        frames = tuple(photographs.values())
        inputs = np.stack([preprocess(frame, spec) for frame in frames])
        means = inputs.mean(axis=(1, 2)) / 8
        powers = np.exp(means - means.max(axis=1, keepdims=True))
        answers = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        golden = Golden(frames, inputs, answers).to_bytes()
        with staged_folder(path, marker="manifest.json") as folder:
            (folder / "model.fp32.onnx").write_bytes(graph)
            (folder / "golden.npz").write_bytes(golden)
            artifact = OnnxArtifact(
                file="model.fp32.onnx", sha256=_sha(graph), bytes=len(graph), precision="fp32"
            )
            manifest = Manifest(
                model=Model(name="which_colour", resolution=(32, 32), parameters=9),
                input=spec,
                labels=LABELS,
                weights=weights,
                artifacts=(artifact,),
                golden=File(file="golden.npz", sha256=_sha(golden), bytes=len(golden)),
            )
            write_manifest(folder, manifest)
        return path

    return make


def negative() -> bytes:
    """A graph that turns grey frames of any size into their negatives: 255 - level."""
    size = ["batch", "height", "width", 1]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, size)
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, size)
    white = numpy_helper.from_array(np.array(255, np.float32), "white")
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["white", "float"], ["negative"]),
        helper.make_node("Cast", ["negative"], ["pictures"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(nodes, "negative", [frames], [pictures], [white])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def filter_bundle(
    photographs: dict[str, NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle that answers with the negative of a frame. No test changes it."""
    path = tmp_path_factory.mktemp("bundles") / "negative.bundle"
    spec = FrameInput(channels=1, color="gray")
    frames = tuple(photographs.values())
    pictures = tuple(255 - preprocess_frame(frame, spec) for frame in frames)
    contents = {
        "model.fp32.onnx": negative(),
        "golden.npz": GoldenPictures(frames, pictures).to_bytes(),
    }
    with staged_folder(path, marker="manifest.json") as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        entries = [
            {"file": name, "sha256": _sha(content), "bytes": len(content)}
            for name, content in contents.items()
        ]
        manifest = ImageManifest(
            model=Filter(name="negative"),
            input=spec,
            picture=Picture(channels=1, color="gray", scale=-255, offset=255),
            artifacts=(OnnxArtifact(**entries[0], precision="fp32"),),
            golden=File(**entries[1]),
        )
        write_manifest(folder, manifest)
    return path


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="session")
def bundle(make_bundle: MakeBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test changes."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "colour.bundle")


@pytest.fixture
def classify(bundle: Path) -> Iterator[Classifier]:
    with Classifier.open(bundle) as classifier:
        yield classifier


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    """Write a video: make_clip(path, frames) from uint8 BGR frames of one size."""

    def make(path: Path, frames: list[NDArray[np.uint8]], fps: float = 30.0) -> Path:
        height, width = frames[0].shape[:2]
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        video = cv2.VideoWriter(str(path), codec, fps, (width, height))
        assert video.isOpened()
        for frame in frames:
            video.write(frame)
        video.release()
        return path

    return make


@pytest.fixture(scope="session")
def pan(photographs: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Forty frames of 160x120 that pan across a photograph."""
    wide = cv2.resize(photographs["coffee"], (320, 240))
    steps = range(40)
    return [np.ascontiguousarray(wide[2 * i : 2 * i + 120, 3 * i : 3 * i + 160]) for i in steps]


@pytest.fixture(scope="session")
def clip(
    make_clip: Callable[..., Path],
    pan: list[NDArray[np.uint8]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "pan.mp4", pan)


@pytest.fixture
def nearly_full() -> Callable[[Path, int], None]:
    """Fill a small disk until so many bytes are left."""

    def fill(folder: Path, left: int) -> None:
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        (folder / "filler").write_bytes(bytes(max(0, free - left)))

    return fill
