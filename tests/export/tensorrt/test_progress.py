"""Progress is shown and Ctrl-C is heard, with the real compiler."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn_export.tensorrt import engines
from edgecnn_export.tensorrt.build import BuildOptions, build_engine
from edgecnn_export.tensorrt.compilers import Compiler
from edgecnn_export.tensorrt.engines import compile_bundle
from edgecnn_export.tensorrt.progress import Watch, run_watched
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.cli import run
from edgecnn_runtime.errors import BackendError


def test_phases_within_phases_add_up() -> None:
    watch = Watch()
    assert watch.state() == ("", 0.0)
    watch.start("build", None, 2)
    watch.start("time", "build", 4)
    watch.step("time", 1)
    assert watch.state() == ("time", 0.25)  # two of four steps, of the first of two
    watch.finish("time")
    watch.step("build", 0)
    assert watch.state() == ("build", 0.5)
    watch.step("build", 1)
    assert watch.state() == ("build", 1.0)
    watch.finish("build")
    assert watch.state() == ("", 1.0)


def test_the_real_builder_tells_its_phases(
    rtx: Compiler, trained_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    told: dict[str, list[int]] = {}
    start, step = Watch.start, Watch.step

    def starts(self: Watch, name: str, parent: str | None, steps: int) -> None:
        started.append(name)
        start(self, name, parent, steps)

    def steps(self: Watch, name: str, number: int) -> bool:
        told.setdefault(name, []).append(number)
        assert 0 <= self.state()[1] <= 1
        return step(self, name, number)

    monkeypatch.setattr(Watch, "start", starts)
    monkeypatch.setattr(Watch, "step", steps)
    seen: list[tuple[str, float]] = []
    build_engine(
        rtx,
        trained_bundle / "model.fp32.onnx",
        "sm86",
        BuildOptions(),
        show=lambda text, share: seen.append((text, share)),
    )
    assert len(set(started)) > 3
    assert sum(map(len, told.values())) > 50
    assert seen


def test_a_builder_that_is_told_to_stop_gives_no_engine(
    rtx: Compiler, trained_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watch, "step", lambda *_: False)
    with pytest.raises(BackendError, match="cannot compile"):
        build_engine(rtx, trained_bundle / "model.fp32.onnx", "sm86", BuildOptions())


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What is started in the background ignores SIGINT, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_middle_of_a_build_leaves_nothing_and_ends_with_130(
    rtx: Compiler,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = {p.name: p.read_bytes() for p in copy.iterdir()}
    start, built = Watch.start, []

    def interrupted(self: Watch, name: str, parent: str | None, steps: int) -> None:
        start(self, name, parent, steps)
        if parent is not None and not built:
            built.append(name)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watch, "start", interrupted)
    assert run(["compile", str(copy), "--target", "sm86"]) == 130
    assert built
    assert capfd.readouterr().err == "edgecnn compile: interrupted\n"
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == before
    monkeypatch.undo()
    assert run(["compile", str(copy), "--target", "sm86"]) == 0


def test_engines_that_were_finished_before_ctrl_c_stay(
    rtx: Compiler, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = engines.build_engine

    def second_is_interrupted(compiler, graph, target, *rest, **named):  # type: ignore[no-untyped-def]
        if target == "sm89":
            raise KeyboardInterrupt
        return build(compiler, graph, target, *rest, **named)

    monkeypatch.setattr(engines, "build_engine", second_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        compile_bundle(open_bundle(copy), rtx, ["sm86", "sm89"], BuildOptions())
    bundle = open_bundle(copy)
    bundle.check()
    assert [engine.target for engine in bundle.manifest.engines] == ["sm86"]
    assert [p.suffix for p in (copy / "engines").iterdir()] == [".engine"]


def test_an_error_of_the_build_comes_out_of_its_thread() -> None:
    def fails() -> bytes:
        raise MemoryError("std::bad_alloc")

    with pytest.raises(MemoryError, match="bad_alloc"):
        run_watched(fails, Watch(), None)


def test_a_bar_is_drawn_on_a_terminal_alone(
    rtx: Compiler, copy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", str(copy), "--target", "sm86"]) == 0
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Rich is told that there is a terminal
    other = Path(shutil.copytree(copy, copy.with_name("other.bundle")))
    assert run(["compile", str(other), "--target", "sm89"]) == 0
    assert "fp32 for sm89" in capfd.readouterr().err
