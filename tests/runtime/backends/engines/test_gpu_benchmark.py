"""The GPU's benchmark, on a machine that computes on the host: a GPU's minutes are dear."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
Machine = Any


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Any:
    found = imported("gpu_parts", monkeypatch)

    def compile_for(bundle: Path, compiler: str, target: str) -> None:
        machine.add(bundle, batch=(1, 1, 32))

    monkeypatch.setattr(found, "compile_for", compile_for)
    monkeypatch.setattr(found, "WARM_UP", 2)
    return found


def run(parts: Any, part: str, bundle: Path, **more: Any) -> dict[str, Any]:
    asked = parts.Asked(part=part, bundle=bundle, batch=1, count=5, device="cpu")
    vars(asked).update(more)
    return dict(parts.PARTS[part](asked))


@pytest.mark.parametrize("batch", [1, 32])
def test_an_engine_is_measured_with_the_gpus_part_of_it(
    parts: Any, bundle: Path, batch: int
) -> None:
    found = run(parts, "TensorRT", bundle, batch=batch)
    assert found["cuda_graph"] is True
    assert found["share_of_gpu"] == pytest.approx(found["p50_ms"] / found["gpu_p50_ms"], rel=0.05)


def test_the_classifier_is_measured_stage_by_stage(parts: Any, bundle: Path) -> None:
    found = run(parts, "classifier", bundle)
    assert found["backend"] == "tensorrt"
    assert {"p50_ms", "preprocess_p50_ms", "infer_p50_ms", "gpu_p50_ms"} <= set(found)
    assert found["infer_share_of_gpu"] > 0


def test_the_launch_floor_is_that_of_an_empty_graph(
    parts: Any, bundle: Path, machine: Machine
) -> None:
    found = run(parts, "launch floor", bundle)
    assert machine.driver.launches == 7
    assert found["upload_bytes"] == 32 * 32 * 3


def test_a_part_that_fails_is_an_entry_and_no_end(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_machine: Callable[..., Machine],
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_machine(target=None)
    parts = imported("gpu_parts", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["gpu_parts.py", "ONNX Runtime, bound", str(bundle)])
    parts.main()
    assert json.loads(capsys.readouterr().out)["error"].startswith("BackendError: backend 'onnx")


def test_every_row_is_a_line_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    latency = imported("gpu_latency", monkeypatch)
    rows = [
        {"error": "not here"},
        {"gpu": "sm90", "says": "no"},
        {"p50_ms": 1.0, "p99_ms": 2.0},
        {"p50_ms": 1.1, "p99_ms": 2.0, "gpu_p50_ms": 1.0, "share_of_gpu": 1.1},
    ]
    lines = [latency.line("x", 1, row) for row in rows]
    assert lines[0].endswith("not here")
    assert lines[1].endswith("sm90: no")
    assert "p50    1.000" in lines[2]
    assert "1.10 times the GPU's time" in lines[3]
