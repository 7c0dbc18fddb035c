"""Kernel timings that plain TensorRT keeps from build to build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.timing_cache import default_file


def build(fake: Any, file: Path) -> tuple[Any, list[str]]:
    tensorrt, told = fake(), []
    options = BuildOptions(timings=file)
    build_engine(tensorrt.compiler(), b"a graph", "sm87", options, tell=told.append)
    return tensorrt, told


def test_timings_are_kept_from_build_to_build(fake: Any, tmp_path: Path) -> None:
    file = tmp_path / "cache" / "timings"
    build(fake, file)
    assert file.read_bytes() == b"+measured"
    tensorrt, told = build(fake, file)
    assert tensorrt.config.timings.content == b"+measured"
    assert file.read_bytes() == b"+measured+measured"
    assert told == []
    assert [p.name for p in file.parent.iterdir()] == ["timings"]


@pytest.mark.parametrize("content", [b"broken", b"another GPU's"])
def test_timings_that_do_not_hold_here_are_ignored_and_measured_anew(
    fake: Any, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "timings"
    file.write_bytes(content)
    _, told = build(fake, file)
    assert told == [f"the timing cache {file} is broken, or of another version or GPU; timing anew"]
    assert file.read_bytes() == b"+measured"


def test_timings_that_cannot_be_kept_end_nothing(fake: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _, told = build(fake, tmp_path / "file" / "timings")
    assert any("cannot be written" in line for line in told)


def test_each_version_and_gpu_has_a_file_of_its_own(
    fake: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, new = fake().compiler(), fake(version="11.4.0").compiler()
    files = {
        default_file(compiler, gpu)
        for compiler in (old, new)
        for gpu in ("Orin", "NVIDIA RTX A4000")
    }
    assert sorted(file.relative_to(tmp_path).as_posix() for file in files) == [
        "edgecnn/tensorrt-10.3.0-nvidia-rtx-a4000.timing",
        "edgecnn/tensorrt-10.3.0-orin.timing",
        "edgecnn/tensorrt-11.4.0-nvidia-rtx-a4000.timing",
        "edgecnn/tensorrt-11.4.0-orin.timing",
    ]
