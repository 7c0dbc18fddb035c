"""A filter's bundle is written when its graph gives PyTorch's pictures, and not otherwise."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import cv2
import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from torch import nn

from edgecnn.data import colour_crops
from edgecnn.filters import (
    FILTERS,
    Boundary,
    Extent,
    FilterBank,
    HaarFrame,
    HaarWavelet,
    build_filter,
    kernels,
)
from edgecnn_export import filters
from edgecnn_export.agreement import PictureAgreement, compare_pictures
from edgecnn_export.filters import export_filter, filter_to_onnx, in_pytorch, picture_of
from edgecnn_export.tensorrt import compilers
from edgecnn_export.to_onnx import OPSET
from edgecnn_runtime import ImageFilter, open_model
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.bundle import GoldenPictures, open_bundle, read_golden_pictures, write_manifest
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import CheckFailedError
from edgecnn_runtime.manifest import File, FrameInput, Picture
from edgecnn_runtime.preprocess import preprocess_frame

OneLine = Callable[..., str]


@pytest.fixture(scope="module")
def sobel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sobel's bundle, with the whole gate of 64 crops. Tests that alter it must copy it first."""
    folder = tmp_path_factory.mktemp("filters")
    arguments = ["export", "filter:sobel", "--out", str(folder / "sobel.bundle")]
    assert run([*arguments, "--json", str(folder / "result.json")]) == 0
    return folder / "sobel.bundle"


def test_the_result_tells_the_parity(sobel: Path) -> None:
    result = json.loads((sobel.parent / "result.json").read_text())
    (artifact,) = result["artifacts"]
    assert artifact["file"] == "model.fp32.onnx"
    assert artifact["parity"]["frames"] == 64
    assert artifact["parity"]["max_abs"] <= 1
    assert artifact["parity"]["equal"] > 0.999
    assert result["weights"] == "fixed"


def test_the_manifest_says_how_the_response_became_a_picture(sobel: Path) -> None:
    manifest = open_bundle(sobel).image_filter()
    assert (manifest.model.name, manifest.input.color) == ("sobel", "gray")
    assert (manifest.picture.scale, manifest.picture.offset) == (127.5, 0)
    frame = colour_crops(1)[0]
    with ImageFilter.open(sobel) as show:
        grey = show.preprocess(frame)
        picture = show.infer(grey[None])[0, ..., 0]
    response = build_filter("sobel")(torch.from_numpy(grey)[None, None, ..., 0] / 255)[0, 0]
    expected = np.clip(np.round(response.numpy() * 127.5), 0, 255)
    assert np.abs(expected - picture).max() <= 1


def test_golden_frames_have_colour_and_their_pictures(sobel: Path) -> None:
    golden = read_golden_pictures(open_bundle(sobel))
    assert len(golden.frames) == len(golden.pictures) == 16
    coloured = [f for f in golden.frames if np.abs(f[..., 0].astype(int) - f[..., 2]).mean() > 1]
    assert len(coloured) == 16
    assert len({f.shape for f in golden.frames}) == 16


SIZES = [(160, 121), (61, 133), (8, 40), (5, 3), (1, 7), (1, 1)]


@pytest.mark.parametrize("name", FILTERS)
def test_the_graph_agrees_with_pytorch_at_any_size_and_batch(name: str, tmp_path: Path) -> None:
    export_filter(name, tmp_path / "b", crops=2)
    picture, row = picture_of(FILTERS[name]), FILTERS[name]
    spec = FrameInput(channels=picture.channels, color=row.color)
    frames = [max(colour_crops(8), key=np.size)[:h, :w] for h, w in SIZES]
    with open_model(tmp_path / "b") as show:
        assert isinstance(show, ImageFilter)
        got = [show.infer(show.preprocess(frame)[None])[0] for frame in frames]
        assert show(frames[0]).shape[2] == 3
        assert show(frames[-1]).size
    assert compare_pictures(in_pytorch(row.build(), spec, picture, frames), got).holds


BANKS = {
    f"{boundary} {extent} {stride}": FilterBank(
        kernels.gabor(0.5, 0.1, 1.5)[1:], boundary=boundary, extent=extent, stride=stride
    )
    for boundary in get_args(Boundary)
    for extent in get_args(Extent)
    for stride in (1, 2)
}


@pytest.mark.parametrize("bank", BANKS)
def test_a_graph_keeps_each_boundary_extent_and_stride_at_any_size(bank: str) -> None:
    module = nn.Sequential(BANKS[bank])
    picture = Picture(channels=1, color="gray", scale=20, offset=128)
    spec = FrameInput(channels=1, color="gray")
    session = InferenceSession(filter_to_onnx(module, spec, picture, OPSET).SerializeToString())
    sizes = SIZES[:2] if "valid" in bank else SIZES
    frames = [colour_crops(1)[0][:h, :w] for h, w in sizes]
    expected = in_pytorch(module, spec, picture, frames)
    inputs = [preprocess_frame(frame, spec)[None] for frame in frames]
    pictures = [session.run(None, {"frames": x})[0][0] for x in inputs]
    assert compare_pictures(expected, pictures).holds


@pytest.mark.parametrize("transform", [HaarWavelet(3), HaarFrame(4)])
def test_a_graph_of_a_wavelet_restores_images_of_any_size(
    transform: HaarWavelet | HaarFrame,
) -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return transform.synthesis(transform(x))

    picture = Picture(channels=3, color="bgr", scale=255, offset=0)
    spec = FrameInput(channels=3, color="bgr")
    session = InferenceSession(filter_to_onnx(Twice(), spec, picture, OPSET).SerializeToString())
    for h, w in SIZES:
        frame = colour_crops(1)[0][None, :h, :w]
        np.testing.assert_array_equal(session.run(None, {"frames": frame})[0], frame)


def test_settings_are_in_the_graph_and_in_the_manifest(tmp_path: Path) -> None:
    arguments = ["export", "filter:gaussian", "--set", "tau=6", "--out", str(tmp_path / "b")]
    assert run(arguments) == 0
    manifest = open_bundle(tmp_path / "b").image_filter()
    assert manifest.model.help == "Gaussian of 6 pixels"
    assert manifest.provenance["settings"] == {"tau": 6}
    frame = colour_crops(1)[0]
    with ImageFilter.open(tmp_path / "b") as show:
        picture = show(frame)
    expected = cv2.GaussianBlur(frame, (37, 37), 6, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(picture.astype(int) - expected).max() <= 2


def test_a_noisy_photograph_gains_on_its_way_through_a_bundle(tmp_path: Path) -> None:
    export_filter("denoise", tmp_path / "b", crops=2)
    photo = colour_crops(1)[0]
    noise = np.random.default_rng(0).normal(0, 0.04 * 255, photo.shape)
    noisy = np.clip(np.round(photo + noise), 0, 255).astype(np.uint8)
    with ImageFilter.open(tmp_path / "b") as show:
        assert cv2.PSNR(show(noisy), photo) > cv2.PSNR(noisy, photo) + 3


def test_a_graph_that_disagrees_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = filter_to_onnx

    def with_other_colours(module: torch.nn.Module, *rest: object) -> onnx.ModelProto:
        class Swapped(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return module(x).flip(1)

        return right(Swapped(), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(filters, "filter_to_onnx", with_other_colours)
    with pytest.raises(CheckFailedError, match="they differ by"):
        export_filter("boxcar_strided", tmp_path / "b", crops=2)
    assert list(tmp_path.iterdir()) == []


def test_pictures_agree_within_a_level_almost_everywhere() -> None:
    picture = np.zeros((100, 100, 1), np.uint8)
    off = picture.copy()
    off[0, :5] = 1
    assert compare_pictures([picture], [off]).holds
    off[1] = 1
    assert not compare_pictures([picture], [off]).holds
    off[:] = 0
    off[3, 3] = 2
    assert compare_pictures([picture], [off]) == PictureAgreement(2.0, 0.9999, 1)
    assert not compare_pictures([picture], [off]).holds
    assert compare_pictures([picture], [picture[:50]]).levels == float("inf")


def test_verify_proves_a_filter_on_its_golden_frames(sobel: Path, tmp_path: Path) -> None:
    assert run(["verify", str(sobel), "--json", str(tmp_path / "v.json")]) == 0
    (verdict,) = json.loads((tmp_path / "v.json").read_text())["artifacts"]
    assert (verdict["status"], verdict["frames"]) == ("agrees", 16)
    assert verdict["max_abs"] <= 1
    assert verdict["top1_agreement"] is None


def test_verify_tells_pictures_that_are_other_ones(
    sobel: Path, tmp_path: Path, refused: OneLine
) -> None:
    copy = shutil.copytree(sobel, tmp_path / "copy.bundle")
    bundle = open_bundle(copy)
    golden = read_golden_pictures(bundle)
    brighter = tuple(np.minimum(p, 250) + np.uint8(3) for p in golden.pictures)
    content = GoldenPictures(golden.frames, brighter).to_bytes()
    (copy / "golden.npz").write_bytes(content)
    sha = hashlib.sha256(content).hexdigest()
    entry = File(file="golden.npz", sha256=sha, bytes=len(content))
    write_manifest(copy, msgspec.structs.replace(bundle.manifest, golden=entry))
    assert "other answers than expected" in refused("verify", copy, status=1)


def test_the_graph_describes_itself(sobel: Path) -> None:
    model = onnx.load(sobel / "model.fp32.onnx")
    entries = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert entries["edgecnn.input"]["height"] == "any"
    assert entries["edgecnn.picture"]["scale"] == 127.5
    assert open_ort(sobel / "model.fp32.onnx").input_shape == (None, None, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filter:sobell"], "did you mean 'sobel'"),
        (["filter:sobel", "--random"], "--random does not go with a filter"),
        (["filter:sobel", "--resolution", "64"], "--resolution does not go with a filter"),
        (["filter:sobel", "--opset", "5"], "opset 5; expected"),
        (["filter:"], "expected one of: boxcar, "),
        (["sobel"], "sobel is a filter; did you mean 'filter:sobel'?"),
        (["filter:sobel", "--set", "tau=5"], "unknown setting 'tau'; this filter has none"),
        (["filter:gaussian", "--set", "tau"], "setting 'tau'; expected a number"),
        (["filter:gaussian", "--set", "tau=-5"], "standard deviation of -5; expected above 0"),
        (["lenet5", "--random", "--set", "tau=5"], "--set tau=5 goes with filter:NAME"),
    ],
)
def test_what_a_filter_cannot_be_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, refused: OneLine
) -> None:
    assert message in refused("export", *arguments, "--out", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_needs_labels_or_a_size_refuses_in_one_line(sobel: Path, refused: OneLine) -> None:
    assert "answers with pictures" in refused("evaluate", sobel, "terrain")
    graph = sobel / "model.fp32.onnx"
    assert "answers with pictures" in refused("evaluate", graph, "terrain")


def test_engines_are_not_for_any_size_whether_a_compiler_is_here_or_not(
    sobel: Path, refused: OneLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "takes frames of any size, and engines are compiled for one: it runs on ONNX Runtime"
    assert said in refused("compile", sobel, "--target", "sm86")
    monkeypatch.setattr(compilers, "_load", lambda _: None)
    assert said in refused("compile", sobel)
    assert said in refused("compile", sobel, "--target", "sm860")
