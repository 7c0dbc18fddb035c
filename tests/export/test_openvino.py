"""OpenVINO on what `export` writes: held to the workstation's answers as every artifact is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn_export.export import export
from edgecnn_export.sources import Options, open_source
from edgecnn_export.verify import verify
from edgecnn_runtime.backends.ort import open_ort
from edgecnn_runtime.backends.ov import open_ov, opening
from edgecnn_runtime.bundle import Bundle, open_bundle, read_golden
from edgecnn_runtime.cli import run
from edgecnn_runtime.machine.access import Machine

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'edgecnn[openvino]'")
PRECISIONS = ("fp32", "fp16", "int8", "int8-cpu")


@pytest.fixture(scope="module")
def precise(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The trained run in every precision that OpenVINO reads."""
    out = tmp_path_factory.mktemp("bundles") / "precise.bundle"
    export(open_source(str(trained_run), Options()), out, precisions=PRECISIONS)
    return open_bundle(out)


def test_every_precision_is_held_to_its_own_limit(precise: Bundle) -> None:
    verdicts = verify(precise, backend="openvino").artifacts
    assert [(v.precision, v.status, v.backend) for v in verdicts] == [
        (precision, "agrees", "openvino") for precision in PRECISIONS
    ]
    assert verdicts[0].golden is not None
    assert verdicts[0].golden.max_abs <= 1e-4


def test_int8_on_a_cpu_that_would_saturate_is_onnx_runtimes_as_it_is_written(
    precise: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("flags\t\t: fpu avx2 avx512f\n")
    old = Machine(root=tmp_path, architecture="x86_64")
    settings = opening.settings_for("int8", old)
    monkeypatch.setattr(opening, "settings_for", lambda precision: settings)
    graph = precise.file(precise.onnx("int8"))
    inputs = read_golden(precise).inputs
    answers = open_ov(graph, precision="int8").infer(inputs)
    as_written = open_ort(graph, "onnxruntime", precision="int8").infer(inputs)
    assert np.abs(answers - as_written).max() < 0.1, "a level of 255 here and there, and no more"
    assert np.array_equal(answers.argmax(1), as_written.argmax(1))


def test_the_command_verifies_with_it(precise: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(precise.path), "--backend", "openvino"]) == 0
    assert capsys.readouterr().out.count("agrees") == len(PRECISIONS)
