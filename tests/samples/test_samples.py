"""The samples run as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2

from edgecnn.data.terrain import pan
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.stream.recording import Recording

SAMPLES = Path(__file__).parents[2] / "samples"


def _run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(SAMPLES / name), *(str(a) for a in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_photograph_is_classified(trained_bundle: Path, tmp_path: Path) -> None:
    frame, _ = next(pan(3))
    cv2.imwrite(str(tmp_path / "photo.png"), frame)
    lines = _run("01_embed.py", trained_bundle, tmp_path / "photo.png").splitlines()
    assert {line.split()[-1] for line in lines} == {"brick", "grass", "gravel"}


def test_a_film_is_followed(trained_bundle: Path, tmp_path: Path) -> None:
    with Recording(tmp_path / "film.avi", fps=30) as film:
        for frame, _ in pan(30):
            film.append(frame)
    out = _run("02_camera_loop.py", trained_bundle, tmp_path / "film.avi")
    assert "30 frames" in out
    assert "0 dropped" in out


def test_a_folder_becomes_a_bundle(photographs_folder: Path, tmp_path: Path) -> None:
    out = _run("03_train_on_a_folder.py", photographs_folder, tmp_path / "out", 1)
    assert "edgecnn stream" in out
    manifest = open_bundle(tmp_path / "out" / "model.bundle").manifest
    assert manifest.labels == ("blue", "red")
