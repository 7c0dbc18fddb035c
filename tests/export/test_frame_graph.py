"""A graph that takes the camera's frames as they are gives the answers of preprocessed ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from skimage import data

from edgecnn_export import frame_graph
from edgecnn_export.export import export
from edgecnn_export.frame_graph import levels_apart
from edgecnn_export.sources import Options, make_input, open_source
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import find_compiler
from edgecnn_export.to_onnx import GraphOptions
from edgecnn_runtime.bundle import open_bundle, read_golden
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import CheckFailedError, InputError
from edgecnn_runtime.manifest import Input
from edgecnn_runtime.preprocess import Matrices, as_matrices, preprocess
from edgecnn_runtime.stream.loop import Stream

Frame = NDArray[np.uint8]
OneLine = Callable[..., str]
VGA = (480, 640)


@pytest.fixture(scope="module")
def photographs() -> list[Frame]:
    """Colour photographs, BGR, and one in black and white, where filters overshoot most."""
    images = [getattr(data, n)()[:, :, ::-1] for n in ("astronaut", "coffee", "chelsea", "rocket")]
    frames = [np.ascontiguousarray(image) for image in images]
    return [*frames, np.where(frames[0] > 127, 255, 0).astype(np.uint8)]


def camera(photographs: list[Frame], size: tuple[int, int]) -> list[Frame]:
    return [cv2.resize(p, size[::-1], interpolation=cv2.INTER_AREA) for p in photographs]  # type: ignore[misc]


def spec(frame: tuple[int, int], side: int = 96, **fields: Any) -> Input:
    channels = 1 if fields.get("color") == "gray" else 3
    base = {
        **{"height": side, "width": side, "channels": channels, "color": "rgb", "frame": frame},
        **{"mean": (0.0,) * channels, "std": (1.0,) * channels},
    }
    if fields.get("resize") not in ("stretch", "letterbox"):
        base |= {"shorter_side": side, "crop": (side, side)}
    return Input(**{**base, **fields})


BICUBIC = {"interpolation": "bicubic-antialias", "shorter_side": 110}
CASES = {
    "whole blocks": (VGA, spec(VGA)),
    "averaged, then linear": (VGA, spec(VGA, 100)),
    "linear": (VGA, spec(VGA, 224, shorter_side=256)),
    "enlarged": ((60, 80), spec((60, 80), 128)),
    "one to one": ((100, 130), spec((100, 130), 100)),
    "upright": ((640, 360), spec((640, 360), 90)),
    "bilinear": (VGA, spec(VGA, interpolation="bilinear-antialias", color="bgr")),
    "bicubic": (VGA, spec(VGA, **BICUBIC)),
    "stretch": (VGA, spec(VGA, 77, resize="stretch")),
    "letterbox": (VGA, spec(VGA, resize="letterbox", border=114)),
    "grey digits": (
        VGA,
        spec(VGA, 32, color="gray", invert=True, resize="pad", shorter_side=28, crop=(28, 28)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_graph_preprocesses_to_within_one_level(case: str, photographs: list[Frame]) -> None:
    size, wanted = CASES[case]
    frames = camera(photographs, size)
    assert levels_apart(wanted, frames) <= 1
    assert np.std([preprocess(frame, wanted) for frame in frames]) > 20


@pytest.fixture(scope="module")
def bundle(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the trained run, for a camera of 120x160. No test changes it."""
    path = tmp_path_factory.mktemp("bundles") / "camera.bundle"
    source = open_source(str(trained_run), Options())
    export(source, path, options=GraphOptions(frame=(120, 160)), precisions=("fp32", "fp16"))
    return path


def test_such_a_bundle_says_so_and_decides_as_the_other(
    bundle: Path, trained_bundle: Path, photographs: list[Frame]
) -> None:
    frames = camera(photographs, (120, 160))
    with Classifier.open(bundle) as classify, Classifier.open(trained_bundle) as usual:
        assert classify.backend.input_shape == (120, 160, 3)
        assert classify.manifest.input.frame == (120, 160)
        for frame in frames:
            best, expected = classify(frame)[0], usual(frame)[0]
            assert best.label == expected.label
            assert best.probability == pytest.approx(expected.probability, abs=0.05)
    graph = onnx.load(bundle / "model.fp32.onnx")
    entries = {p.key: json.loads(p.value) for p in graph.metadata_props}
    assert entries["edgecnn.input"]["frame"] == [120, 160]
    assert {n.name.split("/")[0] for n in graph.graph.node[:3]} == {"preprocess"}


def test_its_golden_frames_are_the_cameras(bundle: Path) -> None:
    golden = read_golden(open_bundle(bundle))
    assert {frame.shape for frame in golden.frames} == {(120, 160, 3)}
    assert golden.inputs.shape == (16, 48, 48, 3)
    assert run(["verify", str(bundle)]) == 0
    assert run(["verify", str(bundle), "terrain"]) == 0


def test_a_frame_of_another_size_is_refused(
    bundle: Path, photographs: list[Frame], refused: OneLine
) -> None:
    with (
        Classifier.open(bundle) as classify,
        pytest.raises(InputError, match=r"512x512; this graph takes 120x160 \(height x width\)"),
    ):
        classify(photographs[0])
    assert "a frame of 96x96; this graph takes 120x160" in refused("evaluate", bundle, "terrain")


def test_it_streams_and_profiles_at_its_own_size(
    bundle: Path, photographs: list[Frame], tmp_path: Path
) -> None:
    for i, frame in enumerate(camera(photographs, (120, 160))):
        cv2.imwrite(str(tmp_path / f"{i}.png"), frame)
    with Classifier.open(bundle) as classify, Stream(classify, tmp_path) as stream:
        results = list(stream)
    assert len(results) == len(photographs)
    result = tmp_path / "profile.json"
    assert run(["profile", str(bundle), "--frames", "5", "--json", str(result)]) == 0
    assert json.loads(result.read_text())["frames"] == 5


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_it_compiles(bundle: Path, precision: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX for this platform")
    graph = bundle / f"model.{precision}.onnx"
    engine = build_engine(find_compiler("tensorrt-rtx"), graph, "sm86", BuildOptions())
    assert len(engine) > 100_000


def test_preprocessing_that_is_off_by_a_pixel_is_not_written(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(*arguments: Any) -> Matrices:
        right = as_matrices(*arguments)
        return right._replace(rows=np.roll(right.rows, 1, axis=1))

    monkeypatch.setattr(frame_graph, "as_matrices", shifted)
    options = GraphOptions(frame=(120, 160))
    with pytest.raises(CheckFailedError, match="of 255 levels, expected at most 1"):
        export(open_source(str(trained_run), Options()), tmp_path / "b", options=options)
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_graph_takes_frames_too(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["x"], ["means"]),
        onnx.helper.make_node("Flatten", ["means"], ["y"]),
    ]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 40, 56])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3])
    graph = onnx.helper.make_graph(nodes, "other", [x], [y])
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), other)
    options = GraphOptions(frame=(60, 80), top_k=1)
    export(
        open_source(str(other), Options(labels=("r", "g", "b"))), tmp_path / "b", options=options
    )
    with Classifier.open(tmp_path / "b") as classify:
        blue = np.full((60, 80, 3), (200, 10, 10), np.uint8)
        assert classify(blue)[0].label == "b"


def test_make_input_leaves_the_frame_to_the_graph() -> None:
    assert make_input(Options(), (96, 96), 3, (0.5,) * 3, (0.5,) * 3).frame is None
