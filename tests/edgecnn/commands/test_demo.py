"""The whole road, as `make demo` goes it, with fewer epochs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run


@pytest.mark.slow
def test_the_demo_goes_the_whole_road(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", str(tmp_path / "demo"), "--epochs", "3"]) == 0
    out = capfd.readouterr().out
    for verb in ("train", "export", "evaluate", "compile", "verify", "profile", "stream"):
        assert f"$ edgecnn {verb} " in out
    result = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert set(result) == {"train", "evaluate", "export", "compile", "profile", "stream"}
    assert result["export"]["artifacts"][0]["parity"]["top1_agreement"] == 1.0
    assert result["evaluate"]["top1"] == result["evaluate"]["pytorch"]["top1"]
    assert (result["stream"]["frames"], result["stream"]["errors"]) == (240, 0)
    open_bundle(tmp_path / "demo" / "terrain.bundle").check()
    for picture in ("annotated.png", "latency.png"):
        assert cv2.imread(str(tmp_path / "demo" / picture)) is not None
    assert (tmp_path / "demo" / "annotated.mp4").stat().st_size > 100_000


def test_the_demo_does_not_write_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert run(["demo", "--out", str(tmp_path / "file")]) == 2
    assert (tmp_path / "file").read_text() == "mine"
