"""`verify` finds what changed: a file, an answer, a filter."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from rich.console import Console

from edgecnn.data import colour_crops
from edgecnn_export.agreement import compare
from edgecnn_export.tables import verdict_table
from edgecnn_export.verify import open_artifact, verify
from edgecnn_runtime.backends import Backend, cuda, trt
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.bundle import Bundle, add_artifact, open_bundle, read_golden, write_manifest
from edgecnn_runtime.cli import run
from edgecnn_runtime.manifest import Artifact, EngineArtifact

OneLine = Callable[..., str]
Rewrite = Callable[..., None]


@pytest.mark.parametrize("data", [(), ("terrain",)])
def test_a_good_bundle_agrees(data: tuple[str, ...], trained_bundle: Path, tmp_path: Path) -> None:
    assert run(["verify", str(trained_bundle), *data, "--json", str(tmp_path / "v.json")]) == 0
    artifact = json.loads((tmp_path / "v.json").read_text())["artifacts"][0]
    assert artifact["status"] == "agrees"
    assert artifact["frames"] == (316 if data else 16) + (4 if data else 0)


def test_each_artifact_is_held_to_the_golden_frames_and_to_the_first(
    half_bundle: Path, tmp_path: Path
) -> None:
    """FP32 is held to what FP16 may change, where the first is of FP16."""
    assert run(["verify", str(half_bundle), "terrain", "--json", str(tmp_path / "v.json")]) == 0
    half, full = json.loads((tmp_path / "v.json").read_text())["artifacts"]
    assert (half["file"], full["file"]) == ("model.fp16.onnx", "model.fp32.onnx")
    assert half["max_abs"] == 0
    assert 1e-4 < half["golden"]["max_abs"] < 0.05
    assert full["golden"]["max_abs"] < 1e-4 < full["max_abs"] < 0.05
    assert full["on_logits"]
    assert not full["golden"]["on_logits"]  # golden.npz has probabilities alone
    assert 0 <= full["worst_frame"] < full["frames"] == 320
    assert full["top1_agreement"] >= 0.99


def test_logits_tell_what_certain_answers_hide() -> None:
    logits = np.array([[90.0, 0.0, 10.0]], np.float32)
    certain = np.array([[1.0, 0.0, 0.0]], np.float32)
    other = np.array([[90.0, 8.0, 10.0]], np.float32)
    assert compare(certain, certain, "fp16").holds
    agreement = compare(certain, certain, "fp16", (logits, other))
    assert agreement.max_logit_share == pytest.approx(8 / 90)
    assert agreement.reason == "on frame 0 by 8.9e-02 of the largest logit, expected 5e-02"


def test_the_worst_frame_is_named() -> None:
    reference = np.tile(np.array([0.6, 0.4], np.float32), (9, 1))
    answers = reference.copy()
    answers[4] = 0.55, 0.45
    agreement = compare(reference, answers)
    assert agreement.worst_frame == 4
    assert agreement.reason == "on frame 4 by 8.3e-02 of the answer, expected 1e-04"


def test_a_graph_with_other_weights_differs_though_its_hash_was_mended(
    copy: Path, rewrite: Rewrite, refused: OneLine
) -> None:
    path = copy / "model.fp32.onnx"
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda i: np.prod(i.dims))
    changed = numpy_helper.to_array(weight) * 1.05
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    rewrite(copy, {path.name: model.SerializeToString()})
    line = refused("verify", copy, status=1)
    assert "model.fp32.onnx: other answers than expected" in line


def test_an_altered_file_is_named(copy: Path, refused: OneLine) -> None:
    path = copy / "model.fp32.onnx"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(bytes(data))
    assert "model.fp32.onnx was altered" in refused("verify", copy)


def test_a_missing_file_is_named(copy: Path, refused: OneLine) -> None:
    (copy / "golden.npz").unlink()
    assert "golden.npz is missing" in refused("verify", copy)


def test_classes_that_are_as_good_as_equal_may_change_places() -> None:
    reference = np.array([[0.5, 0.5, 0.0]], np.float32)
    agreement = compare(reference, np.array([[0.49999, 0.50001, 0.0]], np.float32))
    assert agreement.top1_agreement == 1.0
    assert agreement.holds


def test_not_a_number_never_agrees() -> None:
    reference = np.array([[0.6, 0.4]], np.float32)
    assert not compare(reference, np.array([[np.nan, 0.4]], np.float32)).holds


def test_a_flat_answer_is_judged_by_its_own_scale() -> None:
    flat = np.full((1, 1000), 0.001, np.float32)
    other = flat.copy()
    other[0, :2] = 0.00105, 0.00095
    assert not compare(flat, other).holds


ENGINE = "engines/tensorrt-rtx-1.7.1-sm86-fp16.engine"


@pytest.fixture
def with_engine(copy: Path) -> Bundle:
    """A bundle that lists an engine for a GPU that is not here, for two to four frames at once."""
    bundle = open_bundle(copy)
    content = b"not read by a fake"
    artifact = EngineArtifact(
        file=ENGINE,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        precision="fp16",
        compiler="tensorrt-rtx",
        version="1.7.1.116",
        target="sm86",
        batch=(2, 4, 4),
        onnx_sha256=bundle.onnx().sha256,
    )
    (copy / "engines").mkdir()
    return add_artifact(bundle, artifact, content)


class Engine:
    """Answers as the first graph does, some of its answers moved; takes two to four frames."""

    name, input_shape = "fake", (48, 48, 3)

    def __init__(self, graph: Path, moved: float) -> None:
        self.graph, self.moved = open_ort(graph, "onnxruntime"), moved

    def infer(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not 2 <= len(frames) <= 4:
            raise RuntimeError(f"batch {len(frames)} is outside of the profile\nsecond line")
        answers: NDArray[np.float32] = self.graph.infer(frames)
        return answers * (1 - self.moved) + self.moved / answers.shape[1]

    def close(self) -> None:
        self.graph.close()


def fakes(moved: float) -> Callable[[Bundle, Artifact, str], Backend]:
    """What opens artifacts on a machine that has the engine's GPU."""

    def open_here(bundle: Bundle, artifact: Artifact, name: str) -> Backend:
        if not isinstance(artifact, EngineArtifact):
            return open_artifact(bundle, artifact, name)
        return Engine(bundle.path / "model.fp32.onnx", moved)

    return open_here


@pytest.mark.parametrize("data", [0, 33])
@pytest.mark.parametrize(("moved", "status"), [(0.01, "agrees"), (0.2, "differs")])
def test_an_engine_that_opens_is_held_to_the_same(
    with_engine: Bundle, moved: float, status: str, data: int
) -> None:
    frames = colour_crops(data) if data else None
    graph, engine = verify(with_engine, frames, opener=fakes(moved)).artifacts
    assert graph.status == "agrees"
    assert (engine.file, engine.precision, engine.status) == (ENGINE, "fp16", status)
    assert engine.golden is not None
    assert engine.golden.frames == 16
    assert engine.golden.max_abs == pytest.approx(moved * 2 / 3, rel=0.2)
    assert (engine.data.frames if engine.data else 0) == data


def test_an_engine_that_fails_differs_and_says_how(with_engine: Bundle) -> None:
    wrong = msgspec.structs.replace(with_engine.manifest.engines[0], batch=(1, 8, 8))
    bundle = add_artifact(with_engine, wrong, b"not read by a fake")

    report = verify(bundle, opener=fakes(0))
    assert report.wrong == [f"{ENGINE}: it fails: batch 8 is outside of the profile"]


@pytest.mark.parametrize(
    ("gpu", "here"),
    [
        (None, "no NVIDIA GPU"),
        ("sm90", "sm90, tensorrt-rtx 1.7.0"),
    ],
)
def test_what_cannot_run_here_is_listed_with_what_it_needs(
    gpu: str | None,
    here: str,
    with_engine: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cuda, "compute_capability", lambda: gpu)
    monkeypatch.setattr(trt, "version", lambda compiler: "1.7.0")
    assert run(["verify", str(with_engine.path)]) == 0
    said = f"{ENGINE}\n  not run: needs sm86, tensorrt-rtx 1.7.1.116 (here: {here})\n"
    assert said in capfd.readouterr().out


def test_an_engine_of_another_graph_is_found_without_a_gpu(
    with_engine: Bundle, refused: OneLine
) -> None:
    other = msgspec.structs.replace(with_engine.manifest.engines[0], onnx_sha256="0" * 64)
    add_artifact(with_engine, other, b"not read by a fake")
    line = refused("verify", with_engine.path, status=1)
    assert f"{ENGINE}: it was compiled from another graph than the bundle has" in line


def test_where_nothing_runs_nothing_is_proved(with_engine: Bundle, refused: OneLine) -> None:
    engines = with_engine.manifest.engines
    alone = msgspec.structs.replace(with_engine.manifest, artifacts=engines)
    write_manifest(with_engine.path, alone)
    line = refused("verify", with_engine.path)
    assert f"{ENGINE} not run: needs sm86" in line


def test_the_table_fits_a_terminal_of_80_columns(with_engine: Bundle) -> None:
    report = verify(with_engine, colour_crops(8), opener=fakes(0.3))
    out = Console(width=80, file=io.StringIO())
    out.print(verdict_table(report, "a/folder/of/photographs"))
    text = out.file.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "model.fp32.onnx" in text
    assert text.count("1.0000") == 4
    assert text.count("agrees") == text.count("differs") == 1


def test_golden_frames_that_do_not_fit_together_are_the_bundles_fault(
    copy: Path, rewrite: Rewrite, refused: OneLine
) -> None:
    golden = read_golden(open_bundle(copy))
    rewrite(copy, {"golden.npz": replace(golden, inputs=golden.inputs[:5]).to_bytes()})
    assert "16 frames, 5 inputs and 16 answers" in refused("verify", copy)


def test_a_bundle_without_golden_frames_says_what_that_leaves_open(
    copy: Path, capfd: pytest.CaptureFixture[str], refused: OneLine
) -> None:
    manifest = open_bundle(copy).manifest
    write_manifest(copy, msgspec.structs.replace(manifest, golden=None))
    assert run(["verify", str(copy), "terrain"]) == 0
    assert "nothing tells whether the first artifact is right" in capfd.readouterr().out
    assert "name DATA to verify it with" in refused("verify", copy)


NO_WORKSTATION = """
import sys

class Absent:
    names = {"torch", "torchvision", "lightning", "onnx", "onnxscript", "edgecnn", "skimage"}
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from edgecnn_runtime.cli import run
from edgecnn_runtime.manifest import Artifact, EngineArtifact
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ((), 0, ""),
        (("--layers",), 2, "--layers needs the package 'onnx', which is not installed"),
    ],
)
def test_a_device_verifies_itself_without_torch_and_onnx(
    half_bundle: Path, more: tuple[str, ...], status: int, says: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_WORKSTATION, "verify", str(half_bundle), *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert done.stdout.count("agrees") == 2
    assert says in done.stderr
