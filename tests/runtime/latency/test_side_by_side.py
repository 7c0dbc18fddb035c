from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.profile import Profile, profile
from edgecnn_runtime.latency.side_by_side import show_side_by_side, side_by_side


@pytest.fixture
def measured(classify: Classifier) -> Profile:
    return profile(classify, [np.zeros((48, 64, 3), np.uint8)], count=5)


def took(profile: Profile, backend: str, p50: float) -> Profile:
    return replace(profile, backend=backend, end_to_end=replace(profile.end_to_end, p50=p50))


def test_each_is_held_against_the_first(measured: Profile, bundle: Path) -> None:
    profiles = [took(measured, "onnxruntime", 8.0), took(measured, "openvino", 6.0)]
    rows = side_by_side(profiles, str(bundle))
    assert [(row.backend, row.p50_ms, row.ratio) for row in rows] == [
        ("onnxruntime", 8.0, 1.0),
        ("openvino", 6.0, 0.75),
    ]
    assert rows[0].p99_ms == measured.end_to_end.p99
    assert rows[0].throughput_fps == measured.throughput_fps


def test_the_precision_is_what_each_ran(measured: Profile, bundle: Path) -> None:
    profiles = [took(measured, name, 8.0) for name in ("openvino", "tensorrt", "torch-compile")]
    assert [row.precision for row in side_by_side(profiles, str(bundle))] == ["fp32"] * 3
    asked = side_by_side(profiles, str(bundle), "int8")
    assert [row.precision for row in asked] == ["int8", "int8", "fp32"]


def test_the_table_ends_with_what_was_not_measured_and_why(measured: Profile, bundle: Path) -> None:
    out = io.StringIO()
    rows = side_by_side([took(measured, "onnxruntime", 8.0)], str(bundle))
    show_side_by_side(rows, {"torch-cuda": "needs [an NVIDIA GPU]"}, Console(file=out, width=100))
    lines = out.getvalue().splitlines()
    assert "p50 to onnxruntime's" in lines[0]
    assert "8.00" in lines[1]
    assert lines[2] == "torch-cuda not measured: needs [an NVIDIA GPU]"


def test_nothing_measured_is_no_table() -> None:
    assert side_by_side([], "anything") == []
