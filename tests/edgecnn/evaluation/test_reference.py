"""PyTorch as the backend that the others are held against."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgecnn.evaluation.reference import open_reference
from edgecnn_runtime.bundle import Golden, open_bundle, read_golden
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.latency import target

Refused = Callable[..., str]


@pytest.fixture
def golden(trained_bundle: Path) -> Golden:
    return read_golden(open_bundle(trained_bundle))


def test_a_run_gives_its_bundles_answers_on_the_same_frames(
    trained_run: Path, golden: Golden
) -> None:
    with open_reference(str(trained_run), "torch") as classify:
        answers = classify.probabilities(golden.frames)
    np.testing.assert_allclose(answers, golden.probabilities, atol=1e-4)


def test_a_bundle_stands_for_the_run_that_it_was_made_from(
    trained_bundle: Path, golden: Golden
) -> None:
    with open_reference(str(trained_bundle), "torch") as classify:
        assert classify.backend.name == "torch"
        assert classify.labels == open_bundle(trained_bundle).classifier().labels
        answers = classify.infer(golden.inputs)
    np.testing.assert_allclose(answers, golden.probabilities, atol=1e-4)


@pytest.mark.slow
def test_compiled_it_gives_the_same_answers(trained_run: Path, golden: Golden) -> None:
    with open_reference(str(trained_run), "torch-compile") as classify:
        answers = [classify.infer(one[None])[0] for one in golden.inputs]
        batch = classify.infer(golden.inputs[:3])
    np.testing.assert_allclose(np.stack(answers), golden.probabilities, atol=1e-4)
    np.testing.assert_allclose(batch, golden.probabilities[:3], atol=1e-4)


def test_the_threads_are_given_back_as_they_were(trained_run: Path) -> None:
    before = torch.get_num_threads()
    with open_reference(str(trained_run), "torch", threads=before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_without_a_compiler_it_says_which(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    said = refused("profile", trained_run, "--backend", "torch-compile")
    assert "needs a C++ compiler, and there is no 'no-such-compiler'" in said


def test_without_a_gpu_it_says_so(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "needs an NVIDIA GPU" in refused("profile", trained_run, "--backend", "torch-cuda")


def test_a_bundle_of_another_training_is_not_compared_as_one(
    trained_run: Path, trained_bundle: Path, tmp_path: Path, refused: Refused
) -> None:
    from edgecnn.training.weights import load_tensors, save_tensors

    run_copy = shutil.copytree(trained_run, tmp_path / "run")
    weights = run_copy / "best.safetensors"
    tensors = {name: tensor * 1.1 for name, tensor in load_tensors(weights).items()}
    save_tensors(weights, tensors)
    bundle = shutil.copytree(trained_bundle, tmp_path / "copy.bundle")
    name_the_run(bundle, str(run_copy))
    assert "it was trained on since" in refused("profile", bundle, "--backend", "torch")


def test_a_bundle_whose_run_is_gone_asks_for_a_run(
    trained_bundle: Path, tmp_path: Path, refused: Refused
) -> None:
    bundle = shutil.copytree(trained_bundle, tmp_path / "copy.bundle")
    name_the_run(bundle, "runs/gone")
    said = refused("profile", bundle, "--backend", "torch")
    assert "runs/gone, is not here; name a run folder" in said


def test_a_bundle_whose_run_is_broken_is_measured_without_it(
    trained_run: Path, trained_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(trained_run, tmp_path / "run")
    (broken / "best.safetensors").unlink()
    bundle = shutil.copytree(trained_bundle, tmp_path / "copy.bundle")
    name_the_run(bundle, str(broken))
    assert run(["profile", str(bundle), "--backend", "all", "--frames", "5"]) == 0
    assert f"torch not measured: the run of {bundle} cannot be opened" in capsys.readouterr().out


def test_a_filter_has_no_run(tmp_path: Path, refused: Refused) -> None:
    bundle = tmp_path / "sobel.bundle"
    assert run(["export", "filter:sobel", "--out", str(bundle)]) == 0
    assert "is a filter" in refused("profile", bundle, "--backend", "torch")


def name_the_run(bundle: Path, folder: str) -> None:
    file = bundle / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["provenance"]["run"] = folder
    file.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "int8"], "computes in fp32, not in int8"),
        (["--compile", "wait"], "runs no engines"),
    ],
)
def test_what_pytorch_does_not_do_is_refused(
    trained_run: Path, arguments: list[str], message: str, refused: Refused
) -> None:
    assert message in refused("profile", trained_run, "--backend", "torch", *arguments)


def test_a_run_is_only_for_pytorch(trained_run: Path, refused: Refused) -> None:
    said = refused("profile", trained_run, "--backend", "openvino")
    assert "is a run folder" in said
    assert f"edgecnn export {trained_run} --out BUNDLE" in said


def test_a_machine_without_pytorch_says_what_to_install(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(target, "import_module", absent)
    with pytest.raises(BackendError, match=r"pip install 'edgecnn\[train,cpu\]'"):
        target.open_target(str(trained_run), backend="torch")


def test_a_run_is_profiled_on_its_held_out_frames(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "profile.json"
    arguments = ["--backend", "torch", "--frames", "5", "--json", str(result)]
    assert run(["profile", str(trained_run), *arguments]) == 0
    written = json.loads(result.read_text())
    assert written["backend"] == "torch"
    assert written["backends"] == {"torch": 5}
    assert "torch on " in capsys.readouterr().out


def test_a_bundle_is_measured_beside_the_run_that_it_was_made_from(
    trained_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")  # which would take its time
    bundle = shutil.copytree(trained_bundle, tmp_path / "copy.bundle")
    result = tmp_path / "profile.json"
    arguments = ["--backend", "all", "--frames", "5", "--json", str(result)]
    assert run(["profile", str(bundle), *arguments]) == 0
    written = json.loads(result.read_text())
    rows = {row["backend"]: row for row in written["side_by_side"]}
    assert {"onnxruntime", "torch"} <= set(rows)
    first, torch_row = rows["onnxruntime"], rows["torch"]
    assert torch_row["ratio"] == pytest.approx(torch_row["p50_ms"] / first["p50_ms"], abs=1e-4)
    assert "torch-compile not measured: " in capsys.readouterr().out
