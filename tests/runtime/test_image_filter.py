"""Bundles that answer with pictures: opened, called, streamed, recorded, measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime import Classifier, ImageFilter, Stream, open_model
from edgecnn_runtime import manifest as schema
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.bundle import open_bundle, read_golden_pictures
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BundleError
from edgecnn_runtime.manifest import FrameInput, ImageManifest, Picture
from edgecnn_runtime.stream.preview import Window
from edgecnn_runtime.stream.run import run_stream

Photographs = dict[str, NDArray[np.uint8]]
OneLine = Callable[..., str]


def test_the_manifest_tells_what_a_bundle_is_opened_as(bundle: Path, filter_bundle: Path) -> None:
    with open_model(filter_bundle) as show, open_model(bundle, top_k=2) as classify:
        assert isinstance(show, ImageFilter)
        assert isinstance(classify, Classifier)
        assert classify.top_k == 2


def test_a_frame_of_any_size_becomes_a_picture_in_colour(
    filter_bundle: Path, photographs: Photographs
) -> None:
    with ImageFilter.open(filter_bundle) as show:
        for frame in photographs.values():
            grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            picture = show(frame)
            assert picture.shape == (*frame.shape[:2], 3)
            assert picture.dtype == np.uint8
            assert (picture == 255 - grey[:, :, None]).all()
            assert (show(grey) == picture).all()  # a grey camera is taken too


def test_frames_of_one_size_run_as_a_batch(filter_bundle: Path, photographs: Photographs) -> None:
    with ImageFilter.open(filter_bundle) as show:
        crops = [show.preprocess(frame[:90, :120]) for frame in photographs.values()]
        together = show.infer(np.stack(crops))
        assert together.shape == (4, 90, 120, 1)
        assert (together[2] == show.infer(crops[2][None])[0]).all()


def test_each_kind_of_bundle_is_refused_by_the_other(bundle: Path, filter_bundle: Path) -> None:
    with pytest.raises(BundleError, match="answers with pictures, and this needs labels"):
        Classifier.open(filter_bundle)
    with pytest.raises(BundleError, match="answers with labels, not pictures"):
        ImageFilter.open(bundle)


def test_a_graph_of_a_fixed_size_is_no_filter(bundle: Path, filter_bundle: Path) -> None:
    manifest = open_bundle(filter_bundle).image_filter()
    with pytest.raises(BundleError, match="the manifest says any size"):
        ImageFilter(manifest, open_ort(bundle / "model.fp32.onnx", "onnxruntime"))


def test_golden_pictures_survive_writing_and_reading(filter_bundle: Path) -> None:
    golden = read_golden_pictures(open_bundle(filter_bundle))
    with ImageFilter.open(filter_bundle) as show:
        for frame, picture in zip(golden.frames, golden.pictures, strict=True):
            assert (show.infer(show.preprocess(frame)[None])[0] == picture).all()


def test_a_stream_of_a_filter_gives_pictures_and_no_labels(
    filter_bundle: Path, clip: Path, pan: list[NDArray[np.uint8]]
) -> None:
    with ImageFilter.open(filter_bundle) as show:
        results = list(Stream(show, clip))
        assert [r.index for r in results] == list(range(40))
        for result in results:
            assert result.picture is not None
            assert result.shown is result.picture
            assert (result.picture == show(result.frame)).all()
            assert result.predictions == []
        report = run_stream(Stream(show, clip))
    assert report.labels == {}
    assert (report.model, report.weights, report.frames) == ("negative", "fixed", len(pan))


def test_the_result_of_a_classifier_has_no_picture_and_shows_the_frame(
    bundle: Path, clip: Path
) -> None:
    with Classifier.open(bundle) as classify:
        result = next(iter(Stream(classify, clip)))
    assert result.picture is None
    assert result.shown is result.frame


def test_sinks_record_the_picture_and_write_no_label(
    filter_bundle: Path, clip: Path, pan: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    lines, video = tmp_path / "x.jsonl", tmp_path / "x.avi"
    arguments = ["stream", filter_bundle, "--source", clip, "--sink", lines, "--sink", video]
    assert run([str(a) for a in arguments]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [r["index"] for r in records] == list(range(40))
    assert records[0]["infer_ms"] > 0
    assert not {"label", "probability", "predictions", "picture", "frame"} & set(records[0])
    capture = cv2.VideoCapture(str(video))
    good, first = capture.read()
    capture.release()
    assert good
    # Without the footer that is drawn over it, and as large as text needs.
    shown = cv2.resize(first, (160, 120), interpolation=cv2.INTER_AREA)[:100].mean()
    negative = 255 - cv2.cvtColor(pan[0], cv2.COLOR_BGR2GRAY)[:100].mean()
    assert shown == pytest.approx(negative, abs=6)


def test_the_window_shows_the_picture(
    filter_bundle: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[NDArray[np.uint8]] = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *arguments: None)
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *arguments: 1.0)
    monkeypatch.setattr(cv2, "pollKey", lambda: -1)
    with ImageFilter.open(filter_bundle) as show:
        run_stream(Stream(show, clip, frames=2), window=Window())
    assert len(shown) == 2
    assert (shown[0][..., 0] == shown[0][..., 2]).mean() > 0.9  # grey, but for what is drawn


def test_a_filter_is_profiled(filter_bundle: Path, tmp_path: Path) -> None:
    result = tmp_path / "profile.json"
    arguments = ["profile", str(filter_bundle), "--frames", "10", "--frame-size", "80x60"]
    assert run([*arguments, "--json", str(result)]) == 0
    written = json.loads(result.read_text())
    assert written["frames"] == 10
    assert set(written["stages"]) == {"preprocess", "infer", "postprocess"}


@pytest.fixture
def written(filter_bundle: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((filter_bundle / "manifest.json").read_text())
    return loaded


def decode(written: dict[str, Any]) -> schema.AnyManifest:
    return schema.decode(json.dumps(written).encode())


def test_the_manifest_says_that_it_is_for_pictures_of_any_size(written: dict[str, Any]) -> None:
    assert written["task"] == "image"
    assert (written["input"]["height"], written["input"]["width"]) == ("any", "any")
    manifest = decode(written)
    assert isinstance(manifest, ImageManifest)
    assert schema.decode(schema.encode(manifest)) == manifest
    assert manifest.picture == Picture(channels=1, color="gray", scale=-255, offset=255)
    assert not manifest.is_random


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("input", "height", 32),
        ("input", "channels", 3),
        ("input", "mean", [0.5]),
        ("picture", "color", "bgr"),
        ("picture", "scale", None),
    ],
)
def test_an_image_manifest_that_contradicts_itself_is_refused(
    written: dict[str, Any], part: str, field: str, value: object
) -> None:
    written[part][field] = value
    with pytest.raises(ValueError, match=r"."):
        decode(written)


def test_a_task_that_is_not_known_or_not_said_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="segment"):
        decode({**written, "task": "segment"})
    del written["task"]
    with pytest.raises(ValueError, match="task"):
        decode(written)


def test_a_classifier_cannot_take_any_size(bundle: Path) -> None:
    loaded = json.loads((bundle / "manifest.json").read_text())
    assert loaded["task"] == "classify"
    loaded["input"]["height"] = "any"
    with pytest.raises(ValueError, match="height"):
        decode(loaded)


def test_the_input_of_a_filter_has_the_colour_that_it_says() -> None:
    assert FrameInput(channels=3, color="rgb").height == "any"
    with pytest.raises(ValueError, match="does not have 3"):
        FrameInput(channels=3, color="gray")
