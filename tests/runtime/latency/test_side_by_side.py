from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.latency.profile import Profile, profile
from edgecnn_runtime.latency.session import Candidate, network_of
from edgecnn_runtime.latency.side_by_side import show_side_by_side, side_by_side


class FakeTorch:
    name, input_shape = "torch-compile", (32, 32, 3)


@pytest.fixture
def measured(classify: Classifier) -> Profile:
    return profile(classify, [np.zeros((48, 64, 3), np.uint8)], count=5)


def took(profile: Profile, backend: str, p50: float) -> Profile:
    return replace(profile, backend=backend, end_to_end=replace(profile.end_to_end, p50=p50))


def test_each_is_held_against_the_first(measured: Profile) -> None:
    profiles = [took(measured, "onnxruntime", 8.0), took(measured, "openvino", 6.0)]
    rows = side_by_side(profiles)
    assert [(row.backend, row.p50_ms, row.ratio) for row in rows] == [
        ("onnxruntime", 8.0, 1.0),
        ("openvino", 6.0, 0.75),
    ]
    assert rows[0].p99_ms == measured.end_to_end.p99
    assert rows[0].throughput_fps == measured.throughput_fps


def test_the_precision_is_what_each_ran(bundle: Path, classify: Classifier) -> None:
    assert network_of(Candidate(str(bundle)), classify).precision == "fp32"
    on_torch = Classifier(classify.manifest, FakeTorch())
    assert network_of(Candidate(str(bundle), precision="int8"), on_torch).precision == "fp32"


def test_the_table_ends_with_what_was_not_measured_and_why(measured: Profile) -> None:
    out = io.StringIO()
    rows = side_by_side([took(measured, "onnxruntime", 8.0)])
    show_side_by_side(rows, {"torch-cuda": "needs [an NVIDIA GPU]"}, Console(file=out, width=100))
    lines = out.getvalue().splitlines()
    assert "p50 to onnxruntime's" in lines[0]
    assert "8.00" in lines[1]
    assert lines[2] == "torch-cuda not measured: needs [an NVIDIA GPU]"


def test_nothing_measured_is_no_table() -> None:
    assert side_by_side([]) == []
