"""Half precision is shown as an accelerator computes it, and `verify` holds bundles to that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgecnn.data import colour_crops
from edgecnn_export.emulate import ROUNDED, emulate_half
from edgecnn_export.export import export
from edgecnn_export.half import Half, to_half
from edgecnn_export.sessions import run_graph
from edgecnn_export.sources import Options, make_input, open_source
from edgecnn_export.to_onnx import GraphOptions, to_onnx
from edgecnn_export.verify import verify
from edgecnn_runtime import backends
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run

DIGITS = {"fp16": 11, "bf16": 8}  # of the mantissa, with the leading one


def whole(gain: float = 1.0) -> onnx.ModelProto:
    """A small network; its first layer's values are `gain` times what they would be."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with torch.no_grad():
        network[0].weight *= gain
    spec = make_input(Options(), (48, 48), 3, (0.5,) * 3, (0.25,) * 3)
    return to_onnx(network.eval(), spec, tuple("abcd"), GraphOptions(logits=True))


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.stack([frame[:48, :48] for frame in colour_crops(4)])


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_logits_are_those_of_fp32_to_the_digits_of_the_precision(
    precision: Half, frames: np.ndarray
) -> None:
    wanted = run_graph(whole(), frames)[1]
    got = run_graph(emulate_half(to_half(whole(), precision)), frames)[1]
    apart = np.abs(got - wanted).max() / np.abs(wanted).max()
    step = 2.0 ** -DIGITS[precision]
    assert step / 16 < apart < 8 * step
    mantissa = np.frexp(got)[0] * 2.0 ** DIGITS[precision]
    assert np.array_equal(mantissa, mantissa.round())


def test_what_overflows_is_infinite_in_fp16_and_not_in_bf16(frames: np.ndarray) -> None:
    graph = whole(gain=1e6)
    assert not np.isfinite(run_graph(emulate_half(to_half(graph, "fp16")), frames)[1]).all()
    assert np.isfinite(run_graph(emulate_half(to_half(graph, "bf16")), frames)[1]).all()


def test_values_keep_their_names_and_a_full_graph_stays_as_it_is(frames: np.ndarray) -> None:
    half = to_half(whole(), "fp16")
    rounded = emulate_half(half)
    names = {name for node in rounded.graph.node for name in node.output}
    assert {name for node in half.graph.node for name in node.output} <= names
    same = emulate_half(whole())
    assert [node.name for node in same.graph.node] == [node.name for node in whole().graph.node]
    assert np.array_equal(run_graph(same, frames)[0], run_graph(whole(), frames)[0])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network whose graphs take preprocessed frames, and camera frames of 120 x 160."""
    folder = tmp_path_factory.mktemp("pair")
    source = open_source("squeezenet1_1", Options(random=True, resolution=(64, 64)))
    plain, framed = folder / "plain", folder / "framed"
    export(source, plain, precisions=("bf16", "fp32"))
    options = GraphOptions(logits=True, top_k=3, frame=(120, 160))
    export(source, framed, options=options, precisions=("fp32", "bf16"))
    return plain, framed


@pytest.mark.parametrize("data", [(), ("terrain",)])
def test_camera_frames_and_bf16_are_verified_in_both_modes(
    pair: tuple[Path, Path], data: tuple[str, ...], tmp_path: Path
) -> None:
    for bundle in pair:
        assert run(["verify", str(bundle), *data, "--json", str(tmp_path / "v.json")]) == 0
        found = json.loads((tmp_path / "v.json").read_text())
        half = next(a for a in found["artifacts"] if a["precision"] == "bf16")
        assert (half["status"], half["backend"]) == ("agrees", ROUNDED)
        assert 1e-6 < half.get("golden", half)["max_abs"] < 1e-3


def test_a_graph_with_preprocessing_of_its_own_is_held_to_one_without(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    plain, framed = map(str, pair)
    arguments = [framed, "--against", plain, "--layers", "--precision", "fp32"]
    for given in (arguments, [plain, "--against", framed, "--layers"]):
        assert run(["verify", *given, "--json", str(tmp_path / "v.json")]) == 0
        assert json.loads((tmp_path / "v.json").read_text())["layers"]["first"] is None


def test_where_the_cpu_has_no_kernel_and_nothing_emulates_it_is_said(
    pair: tuple[Path, Path],
) -> None:
    half, full = verify(open_bundle(pair[0]), opener=backends.open_artifact).artifacts
    assert half.status.startswith("not run: CPUExecutionProvider of ONNX Runtime")
    assert full.status == "agrees"
