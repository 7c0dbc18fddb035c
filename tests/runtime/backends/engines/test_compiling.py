"""An engine is compiled while the fallback serves, or before anything does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn_runtime.backends import compiling
from edgecnn_runtime.bundle import open_bundle
from edgecnn_runtime.classifier import Classifier
from edgecnn_runtime.errors import BackendError
from edgecnn_runtime.stream.loop import Stream

Machine = Any


class Child:
    """A command that stands in for `edgecnn compile`, and what it has left."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "compile.py"
        self.started = folder / "started"
        self.go = folder / "go"

    def does(self, body: str) -> None:
        """Say that it runs, wait for a word, and then do this."""
        self.script.write_text(
            textwrap.dedent(f"""
            import os, pathlib, shutil, signal, subprocess, sys, time
            pathlib.Path({str(self.started)!r}).write_text(str(os.getpid()))
            bundle = pathlib.Path(sys.argv[1])
            while not os.path.exists({str(self.go)!r}):
                time.sleep(0.01)
            """)
            + textwrap.dedent(body)
        )

    def pid(self) -> int:
        """Of the child, once it runs."""
        end = time.monotonic() + 30
        while not (self.started.exists() and self.started.read_text()):
            assert time.monotonic() < end, "it never started"
            time.sleep(0.01)
        return int(self.started.read_text())

    def is_alive(self) -> bool:
        try:
            os.kill(self.pid(), 0)
        except ProcessLookupError:
            return False
        return True


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    found = Child(tmp_path)

    def command(bundle: Any, name: str, precision: str) -> list[str]:
        assert precision == "fp32"
        return [sys.executable, str(found.script), str(bundle.path), name]

    monkeypatch.setattr(compiling, "command", command)
    return found


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[compiling.BackgroundCompile]:
    """The builds that were started in the background."""
    made: list[compiling.BackgroundCompile] = []
    real = compiling.BackgroundCompile

    def make(*arguments: Any) -> Any:
        made.append(real(*arguments))
        return made[-1]

    monkeypatch.setattr(compiling, "BackgroundCompile", make)
    return made


def with_engine(machine: Machine, copy: Path, folder: Path, **changes: Any) -> Path:
    """The same bundle with an engine, for a child to put in its place."""
    other = Path(shutil.copytree(copy, folder / "with-engine.bundle"))
    machine.add(other, **changes)
    return other


PUT_IT_THERE = "shutil.copytree({!r}, bundle, dirs_exist_ok=True)"


def test_an_engine_is_compiled_while_the_fallback_serves_and_then_takes_over(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    builds: list[compiling.BackgroundCompile],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    child.does(PUT_IT_THERE.format(str(with_engine(machine, copy, tmp_path))))
    with Classifier.open(copy, compile="background") as classify:
        assert child.is_alive()
        assert classify(red)[0].label == "red"
        assert classify.backend.name == "onnxruntime"
        child.go.touch()
        assert builds[0].wait(60)
        assert machine.tensorrt.enqueues > 0, "it was warmed up before it takes over"
        enqueues = machine.tensorrt.enqueues
        assert classify.backend.name == "onnxruntime", "not before the next frame"
        assert classify(red)[0].label == "red"
        assert classify.backend.name == "tensorrt"
        assert machine.tensorrt.enqueues == enqueues, "its first frame is a launch"
    said = "\n".join(caplog.messages)
    assert "running on onnxruntime while one is compiled in the background" in said
    assert "going on with tensorrt" in said
    assert len(caplog.messages) == 2
    assert machine.driver.memory == {}


def test_a_stream_tells_which_backend_answered_when_an_engine_takes_over(
    machine: Machine,
    copy: Path,
    clip: Path,
    child: Child,
    builds: list[compiling.BackgroundCompile],
    tmp_path: Path,
) -> None:
    child.does(PUT_IT_THERE.format(str(with_engine(machine, copy, tmp_path))))
    with Classifier.open(copy, compile="background") as classify:
        results = []
        for result in Stream(classify, clip):
            results.append(result)
            if result.index == 9:
                child.go.touch()
                assert builds[0].wait(60)
    assert [r.index for r in results] == list(range(40))
    backends = [r.backend for r in results]
    assert backends == ["onnxruntime"] * 10 + ["tensorrt"] * 30


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "print('edgecnn compile: sm86 refuses', file=sys.stderr); sys.exit(2)",
            "no engine was compiled: sm86 refuses; staying on onnxruntime",
        ),
        ("sys.exit(3)", "'edgecnn compile' ended with status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "'edgecnn compile' ended with status -9"),
        ("pass", "has no tensorrt or tensorrt-rtx engine of model.fp32.onnx"),
        ("(bundle / 'manifest.json').write_text('{')", "manifest.json cannot be read"),
    ],
)
def test_a_build_that_fails_is_said_and_the_fallback_stays(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    builds: list[compiling.BackgroundCompile],
    caplog: pytest.LogCaptureFixture,
    body: str,
    says: str,
) -> None:
    child.does(body)
    child.go.touch()
    with Classifier.open(copy, compile="background") as classify:
        assert builds[0].wait(60)
        assert classify(red)[0].label == "red"
        assert classify.backend.name == "onnxruntime"
    assert says in caplog.messages[-1]
    assert len(caplog.messages) == 2


def test_an_engine_that_was_compiled_and_does_not_open_is_said_and_the_fallback_stays(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    builds: list[compiling.BackgroundCompile],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = with_engine(machine, copy, tmp_path, data=machine.tensorrt.build(no_context=True))
    child.does(PUT_IT_THERE.format(str(other)))
    child.go.touch()
    with Classifier.open(copy, compile="background") as classify:
        assert builds[0].wait(60)
        assert classify(red)[0].label == "red"
    assert "gets no context" in caplog.messages[-1]
    assert "staying on onnxruntime" in caplog.messages[-1]
    assert machine.driver.memory == {}, "what was opened of it was closed again"


HANGS = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(bundle.parent, "helper").write_text(str(helper.pid))
time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_a_build_that_hangs_stalls_nobody_and_closing_leaves_no_process_behind(
    machine: Machine,
    copy: Path,
    red: NDArray[np.uint8],
    child: Child,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiling, "PATIENCE", 0.2)
    child.does(HANGS)
    child.go.touch()
    threads = threading.active_count()
    with Classifier.open(copy, compile="background") as classify:
        pid = child.pid()
        helper = copy.parent / "helper"
        while not (helper.exists() and helper.read_text()):
            assert classify(red)[0].label == "red"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert is_gone(int(helper.read_text()))
    assert threading.active_count() == threads
    assert len(caplog.messages) == 1, "what was cancelled has not failed"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "a child's end is no handler of ours"


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_a_program_that_ends_without_closing_leaves_no_process_behind() -> None:
    program = """
import sys
from edgecnn_runtime.backends.compiling import BackgroundCompile
build = BackgroundCompile([sys.executable, "-c", "import time; time.sleep(600)"], print)
print(build._child.pid)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert is_gone(int(done.stdout))


def is_gone(pid: int) -> bool:
    """An orphan may stay a zombie until whoever adopted it looks after it."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_the_child_gives_way_to_the_camera(machine: Machine, copy: Path, child: Child) -> None:
    child.does("time.sleep(600)")
    with Classifier.open(copy, compile="background"):
        assert os.getpriority(os.PRIO_PROCESS, child.pid()) >= compiling.NICENESS


def test_waiting_for_the_engine_compiles_it_first(
    machine: Machine,
    copy: Path,
    child: Child,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    child.does(PUT_IT_THERE.format(str(with_engine(machine, copy, tmp_path))))
    child.go.touch()
    with Classifier.open(copy, compile="wait", backend="tensorrt") as classify:
        assert classify.backend.name == "tensorrt"
    assert "compiling one first, which may take minutes" in caplog.text


def test_waiting_for_an_engine_that_cannot_be_compiled_falls_back_or_is_an_error(
    machine: Machine, copy: Path, child: Child, caplog: pytest.LogCaptureFixture
) -> None:
    child.does("sys.exit(2)")
    child.go.touch()
    with pytest.raises(BackendError, match="ended with status 2"):
        Classifier.open(copy, compile="wait", backend="tensorrt")
    with Classifier.open(copy, compile="wait") as classify:
        assert classify.backend.name == "onnxruntime"
    assert "ended with status 2; running on ONNX Runtime" in caplog.messages[-1]


def test_a_valid_engine_is_not_compiled_again(
    machine: Machine, copy: Path, child: Child, builds: list[compiling.BackgroundCompile]
) -> None:
    machine.add(copy)
    with Classifier.open(copy, compile="background") as classify:
        assert classify.backend.name == "tensorrt"
    assert builds == []
    assert not child.started.exists()


def test_without_a_gpu_nothing_is_compiled(
    make_machine: Callable[..., Machine],
    copy: Path,
    builds: list[compiling.BackgroundCompile],
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_machine(target=None)
    with Classifier.open(copy, compile="background") as classify:
        assert classify.backend.name == "onnxruntime"
    assert builds == []
    assert caplog.messages == ["no NVIDIA GPU is here to compile for; running on ONNX Runtime"]


def test_the_real_child_is_the_verb_compile(bundle: Path) -> None:
    command = compiling.command(open_bundle(bundle), "auto", "fp32")
    assert command[1:4] == ["-m", "edgecnn_runtime", "compile"]
    assert command[-2:] == ["--precision", "fp32"], "and no other graph of the bundle"
    done: list[str] = []
    build = compiling.BackgroundCompile(command, done.append)
    assert build.wait(120)
    (problem,) = done
    assert problem, "no GPU is here, or it has no engine yet: the verb says which"
    assert "Traceback" not in problem
